"""One optimizer step of a run, rehearsed: the real Stepper on a model without storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch

from mollm_cli.core.solution import Array, Solver
from mollm_cli.core.types import Batch, Loss
from mollm_cli.core.world import ALONE, World
from mollm_cli.engine.facts import Facts, Optimizer, Shape
from mollm_cli.engine.rehearsal import Asked, Ledger, rehearse
from mollm_cli.engine.step import Stepper
from mollm_cli.gradients import descent, inner
from mollm_cli.gradients.matrix_sketch import MatrixSketch
from mollm_cli.gradients.replicas import bucket_sizes
from mollm_cli.gradients.sketch import AT_ONCE
from mollm_cli.gradients.trained import Trained
from mollm_cli.models.forward import forward
from mollm_cli.models.head import vocabulary_size
from mollm_cli.models.reference import Reference
from mollm_cli.models.reference_cache import StateCache
from mollm_cli.objectives.label_log_probs import label_log_probs
from mollm_cli.optimizers.float32_update import updating
from mollm_cli.optimizers.rules import AdamW

MICRO_BATCHES = 2
"""How many are rehearsed where a step has more: from the second on, gradients are added to what is there."""


def rehearsed_step(facts: Facts, model: Any) -> tuple[int, Ledger]:
    """(bytes of the reference, what a recorded step allocates) for ``model``, a blueprint of ``facts``.

    The optimizer's state and the model are not in the ledger. There are two steps where the first one makes what stays:
    rows that a solver carries, and on a CPU the room for copies.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    engine = facts.engine
    stored = _Stored(facts.loss, facts.config.get_text_config().hidden_size, trained[0].dtype, facts.targets)
    reference = Reference(model, facts.reference, cast(StateCache, stored) if facts.reference == "cache" else None)
    optimizer = updating(_still(facts.optimizer, trained), facts.optimizer.update)
    stepper = Stepper(
        model, reference, facts.loss, cast(Solver, _Everyone(facts.solver)), facts.direction, optimizer,
        clip_norm=engine.clip_norm, bf16=engine.precision == "bf16", trained=_trained(model, facts),
    )  # fmt: skip
    pieces = min(MICRO_BATCHES, facts.micro_batches)
    batches = {role: [_batch(shape)] * pieces for role, shape in facts.shapes.items()}
    asked = _asked(facts, model, facts.targets, any(shape.padded for shape in facts.shapes.values()))

    on_cpu = facts.device == "cpu"
    for room in (stepper._before, stepper._direction):  # meta tensors are on no CPU, where these are kept
        room.wanted = on_cpu

    if stepper.sketch is not None:
        _shorten(stepper.sketch, on_cpu)

    def steps() -> None:
        for _ in range(2 if facts.solver.carries or on_cpu else 1):
            stepper(batches, facts.optimizer.lr, True)

    with _few_corrections(), _few_blocks(on_cpu):
        return reference.bytes, rehearse(steps, model, asked)


def rehearsed_scoring(facts: Facts, model: Any) -> Ledger:
    """What a teacher-forced pass over one batch of an evaluation allocates, its float32 log-probabilities included."""
    asking = facts.asking
    shape = Shape(asking.rows, asking.tokens, asking.targets, padded=asking.rows > 1)

    @torch.no_grad()
    def score() -> None:
        label_log_probs(forward(model, _batch(shape)))

    return rehearse(score, model, _asked(facts, model, {(shape.rows, shape.tokens): shape.targets}, shape.padded))


def _asked(facts: Facts, model: Any, targets: Mapping[tuple[int, int], int], padded: bool) -> Asked:
    parameters = [p for p in model.parameters() if p.requires_grad]
    flat = [(size,) for size in bucket_sizes(parameters)] if facts.replicated else []
    trained = frozenset((*(tuple(p.shape) for p in parameters), *flat))
    bf16 = facts.engine.precision == "bf16"
    return Asked(targets, trained, vocabulary_size(model), padded, facts.device == "cuda", bf16, facts.shards)


@contextmanager
def _few_corrections() -> Iterator[None]:
    """The guard corrects as often as it may, where every number is 1; the second time takes what all others do."""
    rounds, descent.ROUNDS = descent.ROUNDS, min(2, descent.ROUNDS)
    try:
        yield
    finally:
        descent.ROUNDS = rounds


@contextmanager
def _few_blocks(on_cpu: bool) -> Iterator[None]:
    """Two blocks of a tensor take what all of them do; they are as long as on the device that is meant."""
    cut, size = inner.cut, inner.BLOCK if on_cpu else inner.DEVICE_BLOCK
    meant = torch.device("cpu" if on_cpu else "cuda")
    inner.cut = lambda flat, device: cut([x[: 2 * size] for x in flat], meant)
    try:
        yield
    finally:
        inner.cut = cut


class _Silent(World):
    """The first of several processes, whose sums are what it has itself."""

    __slots__ = ()

    def sum_(self, tensor: torch.Tensor) -> torch.Tensor:
        """It is there."""
        return tensor

    def begin_sum(self, tensor: torch.Tensor) -> Callable[[], None]:
        """It has ended."""
        return lambda: None

    def sums(self, values: Array) -> Array:
        """They are there."""
        return values


class _Shards(Trained):
    """Parameters whose gradients come all at once, after a backward pass, as those of shards do."""

    __slots__ = ()

    def collect(self) -> None:
        """They lie where they belong."""

    def put_back(self, k: int, part: torch.Tensor | None) -> None:
        """So does this one."""
        self.parameters[k].grad = part


class _Everyone:
    """``solver``, but every objective has a weight: the step that takes the most."""

    def __init__(self, solver: Solver) -> None:
        self._solver = solver

    def __getattr__(self, name: str) -> Any:
        return getattr(self._solver, name)

    def solve(self, *told: Any) -> Any:
        """As the solver answers, 1 in place of 0."""
        answer = self._solver.solve(*told)
        return replace(answer, weights=np.where(answer.weights == 0, 1.0, answer.weights))


def _trained(model: Any, facts: Facts) -> Trained:
    own = Trained.of(model, _Silent(size=facts.processes) if facts.replicated else ALONE)
    if facts.shards == 1:
        return own
    return _Shards(own.names, own.parameters, own.whole, own.starts, sharded=True, model=_Resharded)


class _Resharded:
    @staticmethod
    def reshard() -> None:
        """There is nothing to let go of."""


def _shorten(sketch: MatrixSketch, on_cpu: bool) -> None:
    """Let ``sketch`` take the first pieces of a tensor only: all others take no more memory, and there are thousands.

    Two, because one is freed when the next is there.
    """
    add, size = (sketch.add_by_rows, sketch.buckets) if on_cpu else (sketch.add_at_once, max(AT_ONCE, sketch.buckets))
    whole = sketch.image

    def first(totals: torch.Tensor, k: int, image: torch.Tensor) -> None:
        add(totals, k, image.reshape(-1)[: 2 * size])

    def image_of_first(k: int, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return whole(k, x[: 2 * max(1, AT_ONCE // x.shape[1])] if k in sketch.matrices else x, dtype)

    sketch.put = first  # type: ignore[method-assign]
    sketch.image = image_of_first  # type: ignore[method-assign]


class _Stored:
    """Stands for a filled cache: states that come from elsewhere, as many as there are targets."""

    memory_bytes = 0

    def __init__(self, loss: Loss, hidden: int, dtype: torch.dtype, targets: Mapping[tuple[int, int], int]) -> None:
        self.layer = next((loss.layer(role) for role in loss.roles if loss.compares(role)), None)
        self.hidden, self.dtype, self.targets = hidden, dtype, targets

    def states(self, batch: Batch) -> torch.Tensor:
        """[N, H]."""
        rows, tokens = batch.labels.shape
        return torch.empty(self.targets[rows, tokens], self.hidden, dtype=self.dtype, device="meta")


def _still(optimizer: Optimizer, trained: Sequence[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """An optimizer with the state of ``optimizer`` that moves nothing: kernels of its own would work in place."""
    rule: torch.optim.Optimizer = torch.optim.SGD(trained, optimizer.lr)
    if isinstance(optimizer, AdamW):
        rule = torch.optim.AdamW(trained, optimizer.lr, optimizer.betas, optimizer.eps, optimizer.weight_decay)
        for p in trained:
            rule.state[p] = {"step": torch.ones(()), "exp_avg": torch.empty_like(p), "exp_avg_sq": torch.empty_like(p)}
    rule.step = lambda closure=None: None  # type: ignore[assignment, method-assign]
    return rule


def _batch(shape: Shape) -> Batch:
    ids = torch.empty((shape.rows, shape.tokens), dtype=torch.int64, device="meta")
    return Batch(tuple(map(str, range(shape.rows))), ids, torch.empty_like(ids), torch.empty_like(ids))
