"""Groups of rows that differ only in the seed, and means over them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mollm_cli.reporting.comparison.comparability import differences
from mollm_cli.reporting.comparison.run_rows import RunRow
from mollm_cli.reporting.formatting import NONE

MOST_SETTINGS = 3
"""The most settings in a group's name; the configurations have the rest."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean over the runs that have a value, its standard error (None for fewer than two runs), their number."""

    mean: float | None
    error: float | None
    runs: int


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ only in the seed. varied: other differences between groups of the same loss, solver and rate."""

    loss: str
    solver: str
    learning_rate: float | None
    varied: str
    rows: tuple[RunRow, ...]

    @property
    def name(self) -> str:
        """Loss, solver, learning rate and ``varied`` in one text."""
        rate = "" if self.learning_rate is None else f"lr {self.learning_rate:g}"
        return ", ".join(part for part in (self.loss, self.solver, rate, self.varied) if part)

    @property
    def finished(self) -> tuple[RunRow, ...]:
        """The runs whose numbers count."""
        return tuple(row for row in self.rows if row.finished)

    def estimate(self, value: Callable[[RunRow], float | None]) -> Estimate:
        """Mean and standard error s / sqrt(n) of ``value`` over the finished runs that have it; s with n - 1."""
        found = [number for number in map(value, self.finished) if number is not None]
        if not found:
            return Estimate(None, None, 0)
        error = statistics.stdev(found) / math.sqrt(len(found)) if len(found) > 1 else None
        return Estimate(statistics.mean(found), error, len(found))


def groups(rows: Sequence[RunRow]) -> list[Group]:
    """``rows`` grouped by loss, solver and learning rate, in order of first appearance.

    Rows that differ in another setting than the seed, or in their measurement, are in groups of their own, because a
    mean over different things would mean nothing.
    """
    alike: dict[tuple[str, str, float | None], list[RunRow]] = {}
    for row in rows:
        alike.setdefault((row.loss, row.solver, row.learning_rate), []).append(row)
    found = []
    for (loss, solver, rate), members in alike.items():
        by_settings: dict[str, list[RunRow]] = {}
        for row, key in zip(members, _keys(members), strict=True):
            by_settings.setdefault(key, []).append(row)
        names = _names([same[0] for same in by_settings.values()])
        for name, same in zip(names, by_settings.values(), strict=True):
            for suffix, comparable in _comparable(same):
                varied = ", ".join(part for part in (name, suffix) if part)
                found.append(Group(loss, solver, rate, varied, tuple(comparable)))
    return found


def _comparable(rows: Sequence[RunRow]) -> list[tuple[str, list[RunRow]]]:
    """``rows`` in parts that were measured alike, each with its differences from the first part."""
    # Comparability is not transitive (a missing property matches anything), so a row must fit all rows of a part.
    parts: list[list[RunRow]] = []
    for row in rows:
        fits = (p for p in parts if not any(differences(other.measured_on, row.measured_on) for other in p))
        part = next(fits, None)
        if part is None:
            parts.append([row])
        else:
            part.append(row)
    named = []
    for part in parts:
        apart = (d for other in parts[0] for row in part for d in differences(other.measured_on, row.measured_on))
        named.append((", ".join(dict.fromkeys(d.text for d in apart)), part))
    return named


def _differing(rows: Sequence[RunRow]) -> list[str]:
    keys = sorted({key for row in rows for key in row.settings})
    return [key for key in keys if len({row.settings.get(key) for row in rows}) > 1]


def _keys(rows: Sequence[RunRow]) -> list[str]:
    """Per row, all settings in which ``rows`` differ."""
    differing = _differing(rows)
    return [repr([(key, row.settings.get(key)) for key in differing]) for row in rows]


def _names(rows: Sequence[RunRow]) -> list[str]:
    """Per row, the first settings in which ``rows`` differ: "direction.kl_budget=0.02"; derived keys come last."""
    differing = sorted(_differing(rows), key=lambda key: (key.startswith("names.") or key.endswith("_target_"), key))
    more = f", {len(differing) - MOST_SETTINGS} settings more" if len(differing) > MOST_SETTINGS else ""
    return [
        ", ".join(f"{key}={row.settings.get(key, NONE)}" for key in differing[:MOST_SETTINGS]) + more for row in rows
    ]
