"""A row of the table and what it takes to run it: the engine's own step, or one written by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import torch

from benchmarks import plain
from benchmarks.workload import CLIP_NORM, LR, SEED, Workload, move
from mollm_cli.core.solution import Solver, Status
from mollm_cli.core.types import Batch, Encoded, Loss, Role
from mollm_cli.engine.result import StepResult
from mollm_cli.engine.step import Stepper
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.models.adapter import with_adapter
from mollm_cli.models.compilation import compile_layers
from mollm_cli.models.model_settings import Model
from mollm_cli.models.reference import Reference, starting_states
from mollm_cli.models.reference_cache import Forward, StateCache
from mollm_cli.optimizers.rules import AdamW
from mollm_cli.solvers.weighted_sum import WeightedSum

Step = Callable[[dict[Role, Batch]], Mapping[str, float]]

EVERY_ROW = Direction(kl_budget=0.0, live_threshold=0.0, forget_target=None)
"""Nothing rests: no budget, no target, and no gradient too short (on random weights that of UCE is, p being 1 / V)."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One row, ready to run. step: batches in, losses out; roles: of its forward passes; objectives: of its backwards.

    reference_bytes: what the frozen model takes, or its head; stored states do not count, in a run they are on disk.
    """

    step: Step
    model: Any
    optimizer: torch.optim.Optimizer
    roles: tuple[Role, ...]
    objectives: tuple[Role, ...]
    reference_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. build: from a workload and how many steps of it there will be.

    requires: a package without which it is left out, said so. period: steps that are alike only as a whole.
    """

    name: str
    what: str
    build: Callable[[Workload, int], Contender]
    requires: str | None = None
    period: int = 1

    @property
    def missing(self) -> str | None:
        """Why this row cannot run here, or None."""
        if self.requires is None or find_spec(self.requires) is not None:
            return None
        return f"{self.requires} is not installed"


class RestingObjectiveError(RuntimeError):
    """A timed step did not work on all of its objectives."""


def require_live(live: np.ndarray) -> None:
    """Raise RestingObjectiveError unless every objective took part: a resting one would flatter the row."""
    if not live.all():
        raise RestingObjectiveError(f"every objective must be live in a timed step, found {live.tolist()}")


def engine(
    loss: Callable[[], Loss],
    solver: Callable[[], Solver] = WeightedSum,
    *,
    direction: Direction = EVERY_ROW,
    reference: Literal["cache", "copy", "adapter_off"] = "cache",
    lora: bool = False,
    record: bool = True,
    compiled: bool = False,
    optimizer: Any = None,
) -> Callable[[Workload, int], Contender]:
    """The engine's own step; ``record`` as in engine.log_every=1, the default. A cached reference is filled before."""

    def build(workload: Workload, turns: int) -> Contender:
        model, table = workload.model(), loss()
        if lora:
            model = with_adapter(model, Model(path="random", adapter="lora"), SEED)
        if compiled:
            compile_layers(model, "eager" if workload.small else "inductor")
        kind = reference if table.needs_reference else "none"
        cache = filled(model, workload, table, turns) if kind == "cache" else None
        frozen = Reference(model, kind, cache)
        move(model)
        rule = (optimizer or AdamW()).build(p for p in model.parameters() if p.requires_grad)
        stepper = Stepper(model, frozen, table, solver(), direction, rule, clip_norm=CLIP_NORM, bf16=workload.autocast)

        chosen: list[np.ndarray] = []

        def step(batches: dict[Role, Batch]) -> Mapping[str, float]:
            result = stepper({role: [batches[role]] for role in table.roles}, LR, record)
            require_live(taking_part(result, chosen[-1] if chosen else None))
            chosen[:] = [result.weights]
            return {o.name: float(v) for o, v in zip(table.objectives, result.losses, strict=True)}

        objectives = tuple(role for o in table.objectives for role in o.roles)
        held = frozen.bytes - (cache.memory_bytes if cache else 0)
        return Contender(step, model, rule, table.roles, objectives, held)

    return build


def taking_part(result: StepResult, before: np.ndarray | None) -> np.ndarray:
    """Which objectives a step worked on, bool [m]; ``before``: the weights of the step before it.

    Where a programme was solved, the live ones; where its weights are reused, those that kept theirs; else those that
    have one.
    """
    if result.choice is not None:
        return result.choice.live
    return result.weights == before if result.status is Status.REUSED else result.weights != 0


def filled(model: Any, workload: Workload, loss: Loss, turns: int) -> StateCache:
    """The starting model's states of all rows that will be compared, held in memory."""
    roles = [role for role in loss.roles if loss.compares(role)]
    rows = [row for role in roles for turn in range(turns) for row in workload.rows(role, turn)]
    cache = StateCache(rows)
    cache.fill(starting_states(model, _forward(workload)), workload.batch_of, workload.batch)
    return cache


def _forward(workload: Workload) -> Forward:
    return Forward(torch.device(workload.device).type, workload.autocast)


def filling() -> Callable[[Workload, int], Contender]:
    """What the cache costs, once: the states of a step's retain rows."""

    def build(workload: Workload, turns: int) -> Contender:
        model = workload.model()
        states_of = starting_states(model, _forward(workload))

        def step(batches: dict[Role, Batch]) -> Mapping[str, float]:
            batch = batches["retain"]
            texts = zip(batch.ids, batch.input_ids.tolist(), batch.labels.tolist(), strict=True)
            cache = StateCache([Encoded(name, tuple(ids), tuple(labels)) for name, ids, labels in texts])
            cache.fill(states_of, lambda rows: batch, workload.batch)
            return {"rows": cache.filled}

        return Contender(step, model, torch.optim.SGD(model.parameters()), ("retain",), ())

    return build


def by_hand(
    step_of: Callable[[plain.PlainModels], Step], objectives: tuple[Role, ...]
) -> Callable[[Workload, int], Contender]:
    """A step of benchmarks.plain: two whole models and the engine's optimizer."""

    def build(workload: Workload, turns: int) -> Contender:
        model = workload.model()
        reference = copy.deepcopy(model).eval().requires_grad_(False)
        move(model)
        models = plain.PlainModels(model, reference, AdamW(lr=LR).build(model.parameters()), workload.autocast)
        size = sum(p.numel() * p.element_size() for p in reference.parameters())
        return Contender(step_of(models), model, models.optimizer, ("forget", "retain"), objectives, size)

    return build
