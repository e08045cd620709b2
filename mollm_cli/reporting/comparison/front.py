"""The Pareto front of forgetting and keeping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mollm_cli.reporting.comparison.groups import Group
from mollm_cli.reporting.comparison.run_rows import RunRow

FORGET, RETAIN = "forget_probability", "retain_probability"


@dataclass(frozen=True, slots=True)
class Point:
    """A run or a group's mean: forget (lower is better) and retain (higher is better), both probabilities."""

    forget: float
    retain: float

    def dominates(self, other: Point) -> bool:
        """True if it is nowhere worse than ``other`` and somewhere better."""
        return self != other and self.forget <= other.forget and self.retain >= other.retain


def distance(row: RunRow) -> float | None:
    """|forget probability - its yardstick|; None if either is missing."""
    measure = row.measures.get(FORGET)
    if measure is None or measure.after is None or measure.yardstick is None:
        return None
    return abs(measure.after - measure.yardstick)


def has_yardstick(rows: Sequence[RunRow]) -> bool:
    """True if every finished run with a forget probability has a yardstick for it; False without such a run."""
    measured = [row for row in rows if row.finished and row.value(FORGET) is not None]
    return bool(measured) and all(distance(row) is not None for row in measured)


def point(row: RunRow, to_yardstick: bool) -> Point | None:
    """A run's place, by its distance to the yardstick or else by the forget probability; None if not measured."""
    forget, retain = distance(row) if to_yardstick else row.value(FORGET), row.value(RETAIN)
    return None if forget is None or retain is None else Point(forget, retain)


def mean_point(group: Group, to_yardstick: bool) -> Point | None:
    """The mean over a group's finished runs."""
    # The mean is over distances: a run that forgot too much does not make up for one that forgot too little.
    found = [place for row in group.finished if (place := point(row, to_yardstick)) is not None]
    if not found:
        return None
    return Point(sum(p.forget for p in found) / len(found), sum(p.retain for p in found) / len(found))


def on_front(points: Sequence[Point | None]) -> list[bool]:
    """For each point True if no other one dominates it; False for None."""
    known = [place for place in points if place is not None]
    return [place is not None and not any(other.dominates(place) for other in known) for place in points]
