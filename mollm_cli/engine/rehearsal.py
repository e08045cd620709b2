"""A training step rehearsed on the meta device: its own code runs, on tensors that have shapes and no storage.

What would be allocated, and when it would be freed, follows from the code as it is: nothing about activations, chunks
of logits, gradient rows or the guard is written down a second time. Of the values that code asks for every number is 1
and every condition is as ``Asked`` says.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

Use = Literal["gradients", "logits", "activations"]
"""What a tensor is for, told by its shape: that of a trained parameter outside the forward pass (gradients, rows, the
direction, the guard's copy); the vocabulary in its last dimension; anything else."""

_IN_PLACE = frozenset(
    getattr(torch.ops.aten, f"{name}_").__getattr__(overload)
    for name, overloads in {
        "add": ("Tensor", "Scalar"), "sub": ("Tensor", "Scalar"), "mul": ("Tensor", "Scalar"),
        "div": ("Tensor", "Scalar"), "copy": ("default",), "zero": ("default",), "sqrt": ("default",),
        "reciprocal": ("default",), "masked_fill": ("Scalar",), "addcmul": ("default",), "addmm": ("default",),
        "exp": ("default",),
    }.items()
    for overload in overloads
)  # fmt: skip
"""What changes values and nothing else: it need not be done."""
_ELEMENTWISE = frozenset(
    getattr(getattr(torch.ops.aten, name), overload)
    for overload, names in {
        "Tensor": ("add", "sub", "mul", "div"), "Tensor_Scalar": ("pow",),
        "default": ("sqrt", "rsqrt", "neg", "exp", "silu", "reciprocal", "relu"),
    }.items()
    for name in names
)  # fmt: skip
"""What gives a tensor like its arguments; that it does the meta device finds out at great length."""
FEW = 2**20
"""Elements up to which what is copied to the host is there to be read as numbers."""
_aten = torch.ops.aten
_COPIES = (_aten._to_copy.default, _aten.clone.default)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the rehearsal answers where code asks for values, and what it needs to tell uses apart.

    targets: the number of targets of labels by their shape (B, T). padded: whether rows of a batch differ in length.
    trained: shapes of the trained parameters. vocabulary: V. grouped: whether fused attention takes fewer heads for
    keys than for queries, as on CUDA; elsewhere it is then computed with a [T, T] matrix a head. bf16: forward passes
    run under autocast. shards: parts of a gradient, of which one is here.
    """

    targets: Mapping[tuple[int, int], int]
    trained: frozenset[tuple[int, ...]]
    vocabulary: int
    padded: bool = False
    grouped: bool = True
    bf16: bool = False
    shards: int = 1

    def found(self, condition: torch.Tensor) -> int:
        """How many elements of a condition hold: the targets where it is about labels, else all."""
        known: dict[tuple[int, ...], int] = {(b, t - 1): count for (b, t), count in self.targets.items()}
        return known.get(tuple(condition.shape), condition.numel())


@dataclass(slots=True)
class Ledger:
    """Bytes that are allocated now, and what they were for when they were the most."""

    live: Counter[Use] = field(default_factory=Counter)
    peak: int = 0
    at_peak: dict[Use, int] = field(default_factory=dict)
    forwards: int = 0

    def add(self, use: Use, size: int) -> None:
        """Book ``size`` bytes; negative where they are freed."""
        self.live[use] += size
        total = self.live.total()
        if total > self.peak:
            self.peak, self.at_peak = total, dict(self.live)


def rehearse(step: Callable[[], object], model: torch.nn.Module, asked: Asked) -> Ledger:
    """Run ``step``, which works on meta tensors of ``model``; returns what it would have allocated.

    Raises whatever ``step`` does, NotImplementedError where it reads values in a way that has no answer here.
    """
    ledger = Ledger()

    def entered(*_: Any) -> None:
        ledger.forwards += 1

    def left(*_: Any) -> None:
        ledger.forwards -= 1

    handles = [model.register_forward_pre_hook(entered), model.register_forward_hook(left, always_call=True)]
    try:
        with _as_on_a_device(asked), _Allocations(ledger, asked):
            step()
    finally:
        for handle in handles:
            handle.remove()
    return ledger


class _Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Books every new storage until it is freed, and answers what asks for values."""

    def __init__(self, ledger: Ledger, asked: Asked) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ledger, self.asked = ledger, asked
        self.seen: set[int] = set()
        self.origins: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _IN_PLACE and args[0].is_meta:
            return args[0]
        if func is _aten.index.Tensor:
            args = (args[0], self._positions(args[1]))
        answered, answer = self._answer(func, args, kwargs)
        out = answer if answered else func(*args, **kwargs)
        for made in (out,) if isinstance(out, torch.Tensor) else tree_iter(out):
            if _on_meta(made) and _storage(made) not in self.seen:
                self._book(made, args, kwargs)
                if func in _COPIES:
                    self.origins[_storage(made)] = self._origin(args[0])
        return out

    def _answer(self, func: Any, args: Any, kwargs: Any) -> tuple[bool, Any]:
        """(whether ``func`` asks for values, what it is told)."""
        given = args[0] if args and _on_meta(args[0]) else None
        if given is None:
            return False, None
        if func is _aten.nonzero.default:
            return True, torch.empty(self.asked.found(given), given.dim(), dtype=torch.int64, device="meta")
        if func is _aten._local_scalar_dense.default:
            return True, not self.asked.padded if given.dtype is torch.bool else 1
        if func in _ELEMENTWISE and _alike(given, args):
            return True, torch.empty_like(given)
        if func is _aten.dot.default:
            return True, given.new_empty(())
        if func is _aten.equal.default:
            return True, self._origin(given) == self._origin(args[1])
        where, dtype = kwargs.get("device"), kwargs.get("dtype") or given.dtype
        if where is None or torch.device(where).type == "meta":
            return False, None
        if func is _aten._to_copy.default and given.numel() <= FEW:
            return True, torch.ones(given.shape, dtype=dtype, device="cpu")
        moved = torch.empty(given.shape, dtype=dtype, device="meta")
        self.seen.add(_storage(moved))  # on the host: it counts for nothing here
        weakref.finalize(moved.untyped_storage(), self.seen.discard, _storage(moved))
        return True, moved

    def _positions(self, indices: Sequence[torch.Tensor | None]) -> list[torch.Tensor | None]:
        """Conditions among ``indices`` as the positions at which they hold."""
        positions: list[torch.Tensor | None] = []
        for index in indices:
            if index is None or index.dtype is not torch.bool or not index.is_meta:
                positions.append(index)
            else:
                shape = (index.dim(), self.asked.found(index))
                positions.extend(torch.empty(shape, dtype=torch.int64, device="meta").unbind())
        return positions

    def _origin(self, tensor: torch.Tensor) -> int:
        """The storage whose values ``tensor`` has: its own, or what it is a copy of."""
        return self.origins.get(_storage(tensor), _storage(tensor))

    def _book(self, tensor: torch.Tensor, args: Any, kwargs: Any) -> None:
        """Count a storage, unless it is that of an argument: what was there before, and views of it."""
        key, storage = _storage(tensor), tensor.untyped_storage()
        if any(_on_meta(x) and _storage(x) == key for x in tree_iter((args, kwargs))):
            return
        use, size = self._use(tuple(tensor.shape)), storage.nbytes()
        size = -(-size // self.asked.shards) if use == "gradients" else size
        self.seen.add(key)
        self.ledger.add(use, size)
        weakref.finalize(storage, self._free, key, use, size)

    def _use(self, shape: tuple[int, ...]) -> Use:
        if shape in self.asked.trained and not self.ledger.forwards:
            return "gradients"
        return "logits" if shape and shape[-1] == self.asked.vocabulary else "activations"

    def _free(self, key: int, use: Use, size: int) -> None:
        self.seen.discard(key)
        self.origins.pop(key, None)
        self.ledger.add(use, -size)


def _fused_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Attention of which nothing of size T^2 is kept but a mask, as a bias, where rows are padded."""
    bias = attn_mask.to(query.dtype) if attn_mask is not None and attn_mask.dtype is torch.bool else attn_mask
    out: torch.Tensor = _aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, dropout_p, is_causal, attn_mask=bias, scale=scale
    )[0]
    return out


@contextmanager
def _as_on_a_device(asked: Asked) -> Iterator[None]:
    """What a device does in one kernel and the meta device in several, and autocast, which torch refuses there.

    Functions of torch are replaced within the block: a mode of torch.overrides is off where a backward pass calls back.
    """
    functional, autocast, is_enabled = torch.nn.functional, torch.autocast, torch.is_autocast_enabled

    def context(device_type: str, *args: Any, **kwargs: Any) -> Any:
        return nullcontext() if device_type == "meta" else autocast(device_type, *args, **kwargs)

    def enabled(*device_type: str) -> bool:
        return asked.bf16 if "meta" in device_type else is_enabled(*device_type)

    def casting(function: Callable[..., Any]) -> Callable[..., Any]:
        def cast(*args: Any, **kwargs: Any) -> Any:
            return function(*map(_half, args), **{name: _half(x) for name, x in kwargs.items()})

        return cast if asked.bf16 else function

    plain = functional.scaled_dot_product_attention

    def attention(*args: Any, **kwargs: Any) -> torch.Tensor:
        fused = args[0].is_meta and (asked.grouped or not kwargs.get("enable_gqa"))
        return (_fused_attention if fused else plain)(*args, **kwargs)

    replaced: list[tuple[Any, str, Any]] = [
        (torch, "autocast", context),
        (torch, "is_autocast_enabled", enabled),
        (functional, "scaled_dot_product_attention", casting(attention)),
        (functional, "linear", casting(functional.linear)),
        *((torch, name, casting(getattr(torch, name))) for name in ("matmul", "bmm", "addmm")),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in replaced]
    try:
        for owner, name, function in replaced:
            setattr(owner, name, function)
        yield
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def _half(x: Any) -> Any:
    return x.to(torch.bfloat16) if _on_meta(x) and x.dtype is torch.float32 else x


def _alike(given: torch.Tensor, args: Any) -> bool:
    """Whether a function of one element each gives something like ``given``, its first argument, strides included."""
    if not given.is_floating_point():
        return False
    rest = [x for x in args[1:] if isinstance(x, torch.Tensor)]
    if any(x.dtype != given.dtype for x in rest):
        return False
    if all(x.shape == given.shape for x in rest):
        return True
    return given.is_contiguous() and all(_fits(x.shape, given.shape) for x in rest)


def _fits(shape: Sequence[int], whole: Sequence[int]) -> bool:
    """Whether a tensor of ``shape`` is repeated to ``whole`` where the two meet."""
    ends = zip(reversed(shape), reversed(whole), strict=False)
    return len(shape) <= len(whole) and all(size in (1, other) for size, other in ends)


def _on_meta(x: object) -> bool:
    return isinstance(x, torch.Tensor) and x.is_meta


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
