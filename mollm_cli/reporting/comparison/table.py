"""A comparison: groups with their keys and marks, columns, and notes that keep the numbers from misleading."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mollm_cli.reporting.comparison.comparability import SYMBOLS, Difference, differences, merged
from mollm_cli.reporting.comparison.comparison_columns import MATCHED, NO_POWER, PARTIAL, Column, choose
from mollm_cli.reporting.comparison.front import Point, has_yardstick, mean_point, on_front
from mollm_cli.reporting.comparison.groups import Group, groups
from mollm_cli.reporting.comparison.run_rows import RunRow
from mollm_cli.reporting.formatting import label

STAR = "★"
HEAD = ("", "runs", "finished", "front")


@dataclass(frozen=True, slots=True)
class Entry:
    """A group in a comparison.

    key: its letter.
    differs: differences from the group of the first finished run.
    front: it is on the Pareto front.
    """

    key: str
    group: Group
    differs: tuple[Difference, ...]
    point: Point | None
    front: bool

    @property
    def symbols(self) -> str:
        """The marks of aspects that may not be compared; "" for none."""
        return "".join(SYMBOLS[difference.aspect] for difference in self.differs)

    @property
    def finished(self) -> str:
        """Finished runs of all runs: 2/3."""
        return f"{len(self.group.finished)}/{len(self.group.rows)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of runs.

    to_yardstick: forgetting is judged by the distance to the yardstick; otherwise lower is better.
    """

    rows: tuple[RunRow, ...]
    entries: tuple[Entry, ...]
    columns: tuple[Column, ...]
    to_yardstick: bool
    first: RunRow

    @property
    def header(self) -> list[str]:
        """Titles of the columns; the first four are about the group itself."""
        return [*HEAD, *(column.title for column in self.columns)]

    @property
    def body(self) -> list[list[str]]:
        """A row of texts per group."""
        return [
            [
                entry.key + entry.symbols,
                entry.group.name,
                entry.finished,
                STAR if entry.front else "",
                *(column.cell(entry.group) for column in self.columns),
            ]
            for entry in self.entries
        ]

    @property
    def statuses(self) -> str:
        """The number of runs per status: 10 completed, 1 failed, 1 interrupted."""
        return ", ".join(
            f"{count} {label(status)}" for status, count in Counter(r.status for r in self.rows).most_common()
        )

    @property
    def notes(self) -> list[str]:
        """Notes on reading the numbers, on runs that did not complete, on groups that may not be compared."""
        return [*self._reading(), *self._partial(), *self._runs(), *self._differing()]

    def _reading(self) -> list[str]:
        cells = "\n".join(cell for row in self.body for cell in row[len(HEAD) - 1 :])
        better = "closer to its yardstick" if self.to_yardstick else "lower, for there is no yardstick for every run"
        lines = {
            "±": "mean ± standard error over the finished runs of a group, which differ in the seed alone",
            " [": "value [95 % interval over the rows] of a single run; it knows nothing of the seed",
            STAR: f"{STAR} on the Pareto front: retain probability higher, forget probability {better}",
            NO_POWER: f"{NO_POWER} too few rows: this test has no power",
        }
        found = [line for mark, line in lines.items() if mark in cells]
        if any(column.key == MATCHED for column in self.columns):
            found.append(
                "retain at match: where an evaluation first found the forget probability down at its yardstick; "
                "– where none did"
            )
        return found

    def _partial(self) -> list[str]:
        """The rows that have a value, of each number that some rows have no part in."""
        return [
            f"{PARTIAL} {entry.key}, {column.title}: {counts} rows have a value"
            for entry in self.entries
            for column in self.columns
            if (counts := ", ".join(dict.fromkeys(filter(None, (r.partial(column.key) for r in entry.group.finished)))))
        ]

    def _runs(self) -> list[str]:
        return [
            _ending(entry.key, row) for entry in self.entries for row in entry.group.rows if row.status != "completed"
        ]

    def _differing(self) -> list[str]:
        marked = [entry for entry in self.entries if entry.differs]
        lines = [
            f"{SYMBOLS[d.aspect]} {entry.key}: {d.text}; not to be compared with {self._first_key}"
            for entry in marked
            for d in entry.differs
        ]
        if lines:
            lines.append(
                f"marked groups are held against {self._first_key}, the group of the first finished run, "
                f"{self.first.run}; they are not on the front"
            )
        return lines

    @property
    def _first_key(self) -> str:
        return next(e.key for e in self.entries if any(row is self.first for row in e.group.rows))


def _ending(key: str, row: RunRow) -> str:
    """One line about a run: run 5 (B, seed 2): failed after step 1, in no mean (step 2: the loss is not finite)."""
    seed = "" if row.seed is None else f", seed {row.seed}"
    status = {"running": "still running, or killed"}.get(row.status, label(row.status))
    if row.finished:
        return f"run {row.run} ({key}{seed}): {status}, in the means"
    step = "" if row.steps is None else f" after step {row.steps}"
    return f"run {row.run} ({key}{seed}): {status}{step}, in no mean" + (f" ({row.why})" if row.why else "")


def compare(rows: Sequence[RunRow], picked: Sequence[str] = (), every: bool = False) -> Comparison:
    """Compare ``rows`` in groups, with the columns ``picked``, ``every`` column, or the usual ones.

    Groups that differ from that of the first finished run in data, model, metric versions, decoding or yardstick are
    marked and take no part in the front. Raises RequestError for a picked column that no run has.
    """
    first = next((row for row in rows if row.finished), rows[0])
    to_yardstick = has_yardstick(rows)
    found = groups(rows)
    home = next(group for group in found if any(row is first for row in group.rows))
    differs = [_differences(home, group) for group in found]
    points = [mean_point(group, to_yardstick) for group in found]
    # A group that may not be compared must not push others off the front.
    front = on_front([None if other else place for place, other in zip(points, differs, strict=True)])
    entries = [
        Entry(letters(place), *parts) for place, parts in enumerate(zip(found, differs, points, front, strict=True))
    ]
    return Comparison(tuple(rows), tuple(entries), tuple(choose(rows, picked, every)), to_yardstick, first)


def _differences(home: Group, other: Group) -> tuple[Difference, ...]:
    return merged([d for a in home.rows for b in other.rows for d in differences(a.measured_on, b.measured_on)])


def letters(place: int) -> str:
    """A, B, ..., Z, AA, AB, ... for 0, 1, ..."""
    rest, letter = divmod(place, 26)
    return (letters(rest - 1) if rest else "") + string.ascii_uppercase[letter]
