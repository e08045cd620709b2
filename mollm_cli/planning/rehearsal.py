"""The forward and backward passes of a step, rehearsed: the model's own code runs, on tensors without storage.

Weights are fake tensors (torch's FakeTensorMode): they have a shape, a type and a device, and nothing else. Token ids,
masks and labels are real, so whatever asks about them gets its answer. What is allocated, and when it is freed, follows
from the code as it is. Of a model whose layers are all alike two and three are rehearsed: up to the end of the first
layer, from there to the end of the last one, and beyond it, the most that is allocated is linear in their number.
"""

from __future__ import annotations

import copy
import functools
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from mollm_cli.core.types import IGNORE, Batch
from mollm_cli.engine.batch_losses import BatchLosses, Forwards, role_groups, weighted
from mollm_cli.gradients.gradient_rows import GradientRows
from mollm_cli.models.forward import forward, layers
from mollm_cli.models.head import vocabulary_size
from mollm_cli.models.reference import Reference
from mollm_cli.models.trainable import restrict
from mollm_cli.objectives.label_log_probs import label_log_probs
from mollm_cli.planning.blueprint import blueprint
from mollm_cli.planning.sizes import Shape, Sizes

Use = Literal["gradients", "logits", "activations"]
"""A tensor's use, told by its shape: that of a trained parameter outside of a forward pass, the vocabulary in its last
dimension, or anything else."""
FEW = 2
"""Layers that are enough to tell the first one from the others."""
MICRO_BATCHES = 2
"""From the second micro-batch on, gradients are added to those that are there."""
_aten = torch.ops.aten


class Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Books every storage from where it is made to where it is freed, and answers what fake tensors cannot.

    A condition that is fake holds everywhere, a number is 1. segments: between two calls of ``cut``, the bytes of every
    use when they were the most.
    """

    def __init__(self, trained: frozenset[tuple[int, ...]], vocabulary: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.trained, self.vocabulary = trained, vocabulary
        self.live: Counter[Use] = Counter()
        self.most: Counter[Use] = Counter()
        self.segments: list[Counter[Use]] = []
        self.inside = 0
        self._seen: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False: nothing is compiled here, and torch's wrapper against it costs more than most calls."""
        return False

    def cut(self) -> None:
        """Begin another segment."""
        self.segments.append(self.most)
        self.most = Counter(self.live)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.prim.device.default:  # two of three calls; each would go through all of the below
            return args[0].fake_device
        if func is _aten.index.Tensor:
            args = (args[0], [place for index in args[1] for place in _places(index)])
        given = [x for x in tree_iter((args, kwargs)) if isinstance(x, torch.Tensor)]
        answered, out = _answer(func, args)
        if not answered:
            mode = next((x.fake_mode for x in given if isinstance(x, FakeTensor)), None)
            # torch would come to that mode by itself, through another dispatch, which is most of the time
            out = func(*args, **kwargs) if mode is None else mode.__torch_dispatch__(func, types, args, kwargs)
        for made in [out] if isinstance(out, torch.Tensor) else tree_iter(out):
            if (
                isinstance(made, torch.Tensor)
                and _storage(made) not in self._seen
                and _storage(made) not in map(_storage, given)
            ):
                self._book(made)
        return out

    def _book(self, tensor: torch.Tensor) -> None:
        shape, storage = tuple(tensor.shape), tensor.untyped_storage()
        use: Use = "logits" if shape and shape[-1] == self.vocabulary else "activations"
        if shape in self.trained and not self.inside:
            use = "gradients"
        self._seen.add(_storage(tensor))
        self._add(use, storage.nbytes())
        weakref.finalize(storage, self._free, _storage(tensor), use, storage.nbytes())

    def _free(self, key: int, use: Use, size: int) -> None:
        self._seen.discard(key)
        self._add(use, -size)

    def _add(self, use: Use, size: int) -> None:
        self.live[use] += size
        if self.live.total() > self.most.total():
            self.most = Counter(self.live)


Found = tuple[Counter[Use], Counter[Use]]
"""Bytes by use: when all of them together are the most, and each when it is the most itself."""


def passes(sizes: Sizes, whole: Any) -> Found:
    """The memory of the passes of one step, gradient rows included.

    whole: the model that ``sizes`` describe. Raises whatever its code raises on tensors without values.
    """
    reads_layers = any(objective.layer is not None for objective in sizes.loss.objectives)
    return _rehearsed(sizes, whole, _step, whole_model=reads_layers or sizes.loss.trainable is not None)


def scoring(sizes: Sizes, whole: Any) -> Found:
    """The memory of the teacher-forced pass over one batch of an evaluation."""
    return _rehearsed(sizes, whole, _score, whole_model=False)


def _rehearsed(sizes: Sizes, whole: Any, work: Callable[[Sizes, Any, Ledger], None], whole_model: bool) -> Found:
    count = len(layers(whole))
    if whole_model or count <= FEW + 1 or not _alike(whole):
        found = _segments(sizes, sizes.config, work)
    else:
        fewer, more = (_segments(sizes, _with_layers(sizes.config, FEW + n), work) for n in (0, 1))
        found = [_extended(a, b, count - FEW) for a, b in zip(fewer, more, strict=True)]
    return max(found, key=Counter.total), functools.reduce(Counter.__or__, found)


def _extended(fewer: Counter[Use], more: Counter[Use], steps: int) -> Counter[Use]:
    """The value, ``steps`` steps beyond ``fewer``, of the line through both."""
    return Counter({use: max(0, fewer[use] + steps * (more[use] - fewer[use])) for use in fewer.keys() | more.keys()})


def _alike(model: Any) -> bool:
    """True if all layers have parameters of the same shapes."""
    return len({tuple((n, tuple(p.shape)) for n, p in layer.named_parameters()) for layer in layers(model)}) == 1


def _with_layers(config: Any, count: int) -> Any:
    few = copy.deepcopy(config)
    text = few.get_text_config()
    text.num_hidden_layers = count
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:count]
    return few


def _segments(sizes: Sizes, config: Any, work: Callable[[Sizes, Any, Ledger], None]) -> list[Counter[Use]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about data pointers that are not looked at
        model = blueprint(sizes.model, config, sizes.model.activation_checkpointing)
        restrict(model, sizes.loss)
        _onto_a_cpu(model)
        trained = frozenset(tuple(p.shape) for p in model.parameters() if p.requires_grad)
        ledger = Ledger(trained, vocabulary_size(model))
        with _cutting(model, ledger), ledger:
            work(sizes, model, ledger)
        ledger.cut()
    return ledger.segments


def _onto_a_cpu(model: Any) -> None:
    """Make the meta tensors of ``model`` fake ones of a CPU, which pass for real ones wherever code looks at them."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    known: dict[int, torch.Tensor] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and id(parameter) not in known:
                made = FakeTensor(mode, parameter.detach(), torch.device("cpu"))
                known[id(parameter)] = torch.nn.Parameter(made, requires_grad=parameter.requires_grad)
            module._parameters[name] = None if parameter is None else known[id(parameter)]
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else FakeTensor(mode, buffer, torch.device("cpu"))


@contextmanager
def _cutting(model: Any, ledger: Ledger) -> Iterator[None]:
    """Cut where the first layer ends and where the last one does; in backward passes too."""

    def passed(*told: Any) -> None:
        ledger.cut()
        out = told[-1][0] if isinstance(told[-1], tuple) else told[-1]
        if out.requires_grad:
            out.register_hook(lambda gradient: ledger.cut())

    def entered(*_: Any) -> None:
        ledger.inside += 1

    def left(*_: Any) -> None:
        ledger.inside -= 1

    found = list(layers(model))
    handles = [layer.register_forward_hook(passed) for layer in (found[0], found[-1]) if len(found) > 1]
    handles += [model.register_forward_pre_hook(entered), model.register_forward_hook(left, always_call=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _step(sizes: Sizes, model: Any, ledger: Ledger) -> None:
    """The passes of engine/step.py: one backward pass per objective whose gradient is kept, or one of their sum."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    hidden = sizes.config.get_text_config().hidden_size
    stored: Any = _Stored(parameters[0].new_empty, hidden, sizes)
    reference = Reference(model, sizes.reference, stored if sizes.reference == "cache" else None)
    ledger.live.clear()  # the reference stays, and has a term of its own
    ledger.cut()
    pieces = min(MICRO_BATCHES, sizes.micro_batches)
    batches = {role: [_batch(shape)] * pieces for role, shape in sizes.shapes.items()}
    forwards = Forwards(model, reference, sizes.loss, sizes.engine.precision == "bf16")
    losses, count = BatchLosses(forwards, batches), len(sizes.loss.objectives)
    away = sizes.direction.rows == "host" and sizes.device != "cpu"
    rows = GradientRows(parameters, count, storage=sizes.direction.rows)
    for group in role_groups(sizes.loss.objectives):
        for values in losses.of(group):
            if not sizes.keeps_rows:
                weighted(values, np.ones(count)).backward()
                continue
            for k, (i, value) in enumerate(values):
                value.backward(retain_graph=k < len(values) - 1)
                rows.harvest(i)
                rows.rows[i] = [None] * len(parameters) if away else rows.rows[i]


@torch.no_grad()
def _score(sizes: Sizes, model: Any, ledger: Ledger) -> None:
    asked = sizes.scoring
    label_log_probs(forward(model.eval(), _batch(Shape(asked.rows, asked.tokens, asked.targets, asked.rows > 1))))


def _batch(shape: Shape) -> Batch:
    """Real tensors of ``shape``, of which the first ``targets`` places are targets."""
    ids = torch.zeros((shape.rows, shape.tokens), dtype=torch.int64)
    mask, labels = torch.ones_like(ids), torch.full_like(ids, IGNORE)
    if shape.padded:
        mask[0, -1] = 0
    places = torch.arange(shape.rows * (shape.tokens - 1)).view(shape.rows, -1) < shape.targets
    labels[:, 1:][places] = 0
    return Batch(tuple(map(str, range(shape.rows))), ids, mask, labels)


class _Stored:
    """Stands for a filled cache: states that come from elsewhere, as many as a batch has targets."""

    memory_bytes = 0

    def __init__(self, new: Callable[..., torch.Tensor], hidden: int, sizes: Sizes) -> None:
        self.layer = next((sizes.loss.layer(role) for role in sizes.loss.roles if sizes.loss.compares(role)), None)
        self._new, self._hidden = new, hidden

    def states(self, batch: Batch) -> torch.Tensor:
        """[N, H]."""
        return self._new((int((batch.labels[:, 1:] != IGNORE).sum()), self._hidden))


def _answer(func: Any, args: Any) -> tuple[bool, Any]:
    """(whether ``func`` asks for values of a fake tensor, what it is told)."""
    given = args[0] if args and isinstance(args[0], FakeTensor) else None
    if given is None:
        return False, None
    if func is _aten.nonzero.default:
        return True, torch.zeros((given.numel(), given.dim()), dtype=torch.int64)
    if func is _aten._local_scalar_dense.default:
        return True, 1
    return (True, True) if func is _aten.equal.default else (False, None)


def _places(index: torch.Tensor | None) -> list[torch.Tensor | None]:
    """A condition as the positions at which it holds; any other index as it is."""
    if index is None or index.dtype is not torch.bool:
        return [index]
    if isinstance(index, FakeTensor):
        return list(torch.zeros((index.dim(), index.numel()), dtype=torch.int64))
    return list(index.nonzero().unbind(1))


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
