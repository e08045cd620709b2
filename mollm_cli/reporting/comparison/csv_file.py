"""Runs as CSV: one row per run, finished or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from mollm_cli.core.printable import printable
from mollm_cli.reporting.comparison.run_rows import RunRow
from mollm_cli.reporting.comparison.table import compare

FIRST = ("forget_probability", "retain_probability", "forget_test_probability", "retain_test_probability")
"""The leading metrics; the first two are there even if no run has them."""
IDENTITY = ("run", "status", "exit_code", "loss", "solver", "seed", "learning_rate", "steps")
COMPARED = ("retain_at_matched_forgetting", "group", "on_front", "differs")
"""A run's group, if that is on the Pareto front, and its differences from the first finished run."""


def write_csv(rows: Sequence[RunRow], file: TextIO) -> None:
    """Write ``rows`` with every metric before, after and of the oracle, and the 95 % intervals that there are.

    ``NAME_after_valued`` of ``NAME_after_rows`` rows have a value after.

    A missing value is empty; without rows only the header is written. Numbers are not rounded. A text that a
    spreadsheet would take for a formula gets a ' in front.
    """
    import csv

    names = [*FIRST[:2], *dict.fromkeys(name for row in rows for name in row.measures)]
    names = sorted(dict.fromkeys(names), key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    values = [(name, moment) for name in names for moment in ("before", "after", "oracle")]
    ends = [name for name in names if any(name in row.intervals for row in rows)]
    writer = csv.writer(file, lineterminator="\n")
    titles = [f"{name}_{moment}" for name, moment in values] + [f"{n}_after_{e}" for n in ends for e in ("low", "high")]
    counts = [name for name in names if any(name in row.rows for row in rows)]
    titles += [f"{name}_after_{what}" for name in counts for what in ("valued", "rows")]
    writer.writerow([*IDENTITY, *COMPARED, *map(_cell, titles)])
    for row, place in zip(rows, _places(rows), strict=True):
        known = [getattr(row, key) for key in IDENTITY]
        intervals = [end for name in ends for end in row.intervals.get(name, ("", ""))]
        measured = [row.value(name, moment) for name, moment in values]
        counted = [count for name in counts for count in row.rows.get(name, ("", ""))]
        writer.writerow(map(_cell, [*known, row.matched_retain, *place, *measured, *intervals, *counted]))


def _places(rows: Sequence[RunRow]) -> list[tuple[str, bool, str]]:
    """(group's letter, on the front, differences) of each row."""
    if not rows:
        return []
    found = {
        id(row): (entry.key, entry.front, "; ".join(difference.text for difference in entry.differs))
        for entry in compare(rows).entries
        for row in entry.group.rows
    }
    return [found[id(row)] for row in rows]


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = printable(value, one_line=True)
    # A spreadsheet executes a cell that begins like a formula, and names come from users and datasets.
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
