"""The rows of the table. A new one is a function that builds a Contender, and a line in ROWS."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from benchmarks import plain
from benchmarks.workload import CLIP_NORM, LR, Workload, move
from mollm_cli.core.solution import Solver
from mollm_cli.core.types import Batch, Loss, Role
from mollm_cli.engine.optimizers import AdamW
from mollm_cli.engine.step import Stepper
from mollm_cli.gradients.settings import Direction
from mollm_cli.losses.ga import ga
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.losses.mollm import mollm
from mollm_cli.models.reference import Reference
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.normalized_sum import NormalizedSum
from mollm_cli.solvers.weighted_sum import WeightedSum

Step = Callable[[dict[Role, Batch]], Mapping[str, float]]

EVERY_ROW = Direction(kl_budget=0.0, live_threshold=0.0, forget_target=None)
"""Nothing rests: no budget, no target, and no gradient too short (on random weights that of UCE is, p being 1 / V)."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One row, ready to run. step: batches in, losses out. reference_bytes: what the frozen model takes."""

    step: Step
    model: Any
    optimizer: torch.optim.Optimizer
    roles: tuple[Role, ...]
    reference_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. requires: a package without which it is left out, said so."""

    name: str
    what: str
    build: Callable[[Workload], Contender]
    requires: str | None = None

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


def engine(loss: Callable[[], Loss], solver: Callable[[], Solver], record: bool = True) -> Callable[..., Contender]:
    """The engine's own step; ``record`` as in engine.log_every=1, the default."""

    def build(workload: Workload) -> Contender:
        model, table = workload.model(), loss()
        reference = Reference(model, "copy" if table.needs_reference else "none")
        move(model)
        optimizer = AdamW().build(model.parameters())
        stepper = Stepper(
            model, reference, table, solver(), EVERY_ROW, optimizer, clip_norm=CLIP_NORM, bf16=workload.autocast
        )

        def step(batches: dict[Role, Batch]) -> Mapping[str, float]:
            result = stepper({role: [batches[role]] for role in table.roles}, LR, record)
            if result.choice is not None:
                require_live(result.choice.live)
            return {o.name: float(v) for o, v in zip(table.objectives, result.losses, strict=True)}

        return Contender(step, model, optimizer, table.roles, reference.bytes)

    return build


def by_hand(step_of: Callable[[plain.PlainModels], Step]) -> Callable[..., Contender]:
    """A step of benchmarks.plain: two whole models and the engine's optimizer."""

    def build(workload: Workload) -> Contender:
        model = workload.model()
        reference = copy.deepcopy(model).eval().requires_grad_(False)
        move(model)
        models = plain.PlainModels(model, reference, AdamW(lr=LR).build(model.parameters()), workload.autocast)
        size = sum(p.numel() * p.element_size() for p in reference.parameters())
        return Contender(step_of(models), model, models.optimizer, ("forget", "retain"), size)

    return build


def _plain_mollm(models: plain.PlainModels) -> Step:
    objectives, solver = mollm().objectives, DualSpaceMGDA()
    solver.bind(objectives)

    def step(batches: dict[Role, Batch]) -> Mapping[str, float]:
        losses, live = plain.mollm_step(models, batches, objectives, solver, EVERY_ROW)
        require_live(live)
        return losses

    return step


def _torchjd(chunk: int | None) -> Callable[[plain.PlainModels], Step]:
    names = tuple(o.name for o in mollm().objectives)
    return lambda models: lambda batches: plain.torchjd_step(models, batches, names, chunk)


ROWS = (
    Row("ga", "engine, GA", engine(ga, WeightedSum)),
    Row("ga_kl", "engine, GA+KL", engine(ga_kl, WeightedSum)),
    Row("mollm", "engine, MOLLM, dual_space_mgda", engine(mollm, DualSpaceMGDA)),
    Row("mollm_unlogged", "the same between two logged steps", engine(mollm, DualSpaceMGDA, record=False)),
    Row("mollm_normalized_sum", "engine, MOLLM, normalized_sum", engine(mollm, NormalizedSum)),
    Row("plain_ga_kl", "GA+KL by hand", by_hand(lambda models: lambda batches: plain.ga_kl_step(models, batches))),
    Row("plain_mollm", "MOLLM by hand: three forwards, flattened gradients", by_hand(_plain_mollm)),
    Row(
        "openunlearning_ga_kl",
        "GA+KL in the manner of OpenUnlearning",
        by_hand(lambda models: lambda batches: plain.openunlearning_ga_kl_step(models, batches)),
    ),
    Row("torchjd_mgda", "MOLLM's losses by TorchJD's autojac and MGDA", by_hand(_torchjd(None)), requires="torchjd"),
    Row("torchjd_mgda_chunk1", "the same, one loss at a time", by_hand(_torchjd(1)), requires="torchjd"),
)

RATIOS = (
    ("mollm", "ga_kl"),
    ("mollm", "plain_ga_kl"),
    ("mollm", "plain_mollm"),
    ("mollm", "openunlearning_ga_kl"),
    ("mollm", "torchjd_mgda"),
    ("mollm", "torchjd_mgda_chunk1"),
    ("mollm_unlogged", "ga_kl"),
    ("mollm_normalized_sum", "mollm"),
    ("ga_kl", "plain_ga_kl"),
    ("ga", "ga_kl"),
)
"""(numerator, denominator): reported where both rows ran."""
