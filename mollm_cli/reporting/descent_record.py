"""The descent record: the effect of each logged step on its objectives, before and after the guard's correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mollm_cli.reporting.formatting import finite

Record = Mapping[str, Any]

TOLERANCE = 1e-6
"""The largest cos(g_i, Delta) of an objective that did not rise: float32 noise around 0."""
IS = (
    "For every logged step, g_i . (theta_new - theta_old): the change of each live objective to first order, on the "
    "batch of that step, with momentum, weight decay and clipping in it."
)
IS_NOT = (
    "It is no certificate and no certified unlearning: it says nothing about rows outside the batch or about a change "
    "beyond first order, and it bounds nothing about what the model still holds of the removed data."
)


@dataclass(frozen=True, slots=True)
class ObjectiveDescent:
    """One objective's record; shares in [0, 1], None where it was never live.

    live: share of the steps in which it took part.
    before, after: share of its live steps in which it did not rise, by the optimizer's step before the guard's
    correction and by the step after it.
    worst_before, worst_after: the largest g_i . Delta / (|g_i| |Delta|) of those steps, 0 if it never rose.
    """

    live: float
    before: float | None
    after: float | None
    worst_before: float
    worst_after: float


@dataclass(frozen=True, slots=True)
class DescentRecord:
    """The record of a run.

    steps: number of steps logged with a live objective.
    guard: steps were corrected when needed.
    before, after: share of the steps in which no live objective rose, before and after the correction.
    worst_before, worst_after: the largest values of any objective.
    corrected: share of the steps that were corrected.
    largest_correction: the largest |correction| / |Delta|.
    error: standard error of g_i . Delta over |g_i| |Delta|, if it comes from sketches; 0 if it is exact.
    """

    steps: int
    guard: bool
    before: float
    after: float
    worst_before: float
    worst_after: float
    corrected: float
    largest_correction: float
    error: float
    objectives: dict[str, ObjectiveDescent]


def descent_record(steps: Sequence[Record], objectives: Sequence[str]) -> DescentRecord | None:
    """The record of a run's logged ``steps``; None if the solver read no Gram matrix, so that no change was logged."""
    logged = [record for record in steps if "step_norm" in record]
    found = {name: _rises(logged, name) for name in objectives}
    alive = [pairs for pairs in zip(*found.values(), strict=True) if any(pair is not None for pair in pairs)]
    if not alive:
        return None
    corrections = [finite(record.get("correction")) or 0.0 for record in logged]
    each = {name: _of(rises) for name, rises in found.items()}
    return DescentRecord(
        steps=len(alive),
        guard=any("correction" in record for record in logged),
        before=_share([all(pair is None or pair[0] <= TOLERANCE for pair in pairs) for pairs in alive]) or 0.0,
        after=_share([all(pair is None or pair[1] <= TOLERANCE for pair in pairs) for pairs in alive]) or 0.0,
        worst_before=max(objective.worst_before for objective in each.values()),
        worst_after=max(objective.worst_after for objective in each.values()),
        corrected=_share([correction > 0 for correction in corrections]) or 0.0,
        largest_correction=max(corrections),
        error=max(finite(record.get("first_order_error")) or 0.0 for record in logged),
        objectives=each,
    )


def descent_summary(steps: Sequence[Record], objectives: Sequence[str]) -> dict[str, Any] | None:
    """The entry ``descent`` of metrics.json: the record, the tolerance, and sentences on its meaning and limits."""
    record = descent_record(steps, objectives)
    return None if record is None else asdict(record) | {"tolerance": TOLERANCE, "is": IS, "is_not": IS_NOT}


def _rises(steps: Sequence[Record], name: str) -> list[tuple[float, float] | None]:
    """Per step, cos(g_i, Delta) before and after the correction; None if the objective was not live."""
    return [_rise(record, name) if record.get(f"live.{name}") else None for record in steps]


def _rise(record: Record, name: str) -> tuple[float, float] | None:
    realised, norm, length = (finite(record.get(key)) for key in (f"realised.{name}", f"norm.{name}", "step_norm"))
    if realised is None or norm is None or length is None:
        return None
    raw, scale = finite(record.get(f"raw.{name}", realised)), norm * length
    return (0.0, 0.0) if scale == 0 or raw is None else (raw / scale, realised / scale)


def _of(rises: Sequence[tuple[float, float] | None]) -> ObjectiveDescent:
    live = [pair for pair in rises if pair is not None]
    before, after = ([pair[k] for pair in live] for k in (0, 1))
    return ObjectiveDescent(
        _share([pair is not None for pair in rises]) or 0.0,
        _share([rise <= TOLERANCE for rise in before]),
        _share([rise <= TOLERANCE for rise in after]),
        max([0.0, *before]),
        max([0.0, *after]),
    )


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None
