"""A comparison as one self-contained page, without scripts and requests, with every text escaped."""

from __future__ import annotations

from collections.abc import Sequence

from mollm_cli.reporting.comparison.front import FORGET, RETAIN, Point, distance, point
from mollm_cli.reporting.comparison.table import STAR, Comparison, Entry
from mollm_cli.reporting.pages import page
from mollm_cli.reporting.plots import XY, Chart, Mark, Series, same
from mollm_cli.reporting.request_lines import LIMITS

FRONT_TONE = 1
ACROSS = 5
"""The most metric columns side by side; the others follow below."""


def html(comparison: Comparison) -> str:
    """The page: Pareto front, table of groups, its explanation, every run."""
    lines = [
        {
            "entry": entry,
            "row": row,
            "forget": row.value(FORGET),
            "retain": row.value(RETAIN),
            "distance": distance(row),
        }
        for entry in comparison.entries
        for row in entry.group.rows
    ]
    values = {
        "comparison": comparison,
        "star": STAR,
        "limits": LIMITS,
        "chart": front_chart(comparison),
        "lines": lines,
        "blocks": _blocks(len(comparison.columns)),
    }
    return page("compare.html.j2", values)


def front_chart(comparison: Comparison) -> Chart | None:
    """Forget against retain: a small dot per run, a letter per group's mean, a line along the front.

    None without points. A group that may not be compared with the first one is a hollow mark.
    """
    placed = [(tone, entry, entry.point) for tone, entry in enumerate(comparison.entries) if entry.point is not None]
    if not placed:
        return None
    dots = [Series(entry.key, _dots(entry, comparison.to_yardstick), tone) for tone, entry, _ in placed]
    front = sorted({(at.forget, at.retain) for _, entry, at in placed if entry.front})
    xs = [x for series in dots for x, _ in series.points]
    pad = 0.05 if same(min(xs), max(xs)) else 0.06 * (max(xs) - min(xs))
    marks = tuple(
        Mark(entry.key + (f" {STAR}" if entry.front else ""), at.forget, at.retain, hollow=bool(entry.differs))
        for _, entry, at in placed
    )
    measured = (
        "distance of the forget probability to its yardstick" if comparison.to_yardstick else "forget probability"
    )
    return Chart(
        title="Forget against retain",
        note=f"Up: retain probability. A dot is a run, a letter its group's mean; {STAR} and line: the Pareto front",
        x_label=measured,
        series=(Series("front", _stairs(front), FRONT_TONE, dashed=True), *dots),
        marks=marks,
        x_range=(max(0.0, min(xs) - pad), max(xs) + pad),
    )


def _dots(entry: Entry, to_yardstick: bool) -> tuple[XY, ...]:
    """The runs of a group; a gap after each keeps lines from joining them."""
    found: list[Point] = [at for row in entry.group.finished if (at := point(row, to_yardstick)) is not None]
    return tuple(xy for at in found for xy in ((at.forget, at.retain), (at.forget, None)))


def _stairs(front: Sequence[tuple[float, float]]) -> tuple[XY, ...]:
    """The border of the area that the front dominates: right to the next point, then up to it."""
    steps: list[XY] = []
    for x, y in front:
        if steps:
            steps.append((x, steps[-1][1]))
        steps.append((x, y))
    return tuple(steps)


def _blocks(columns: int) -> list[range]:
    """The places of the metric columns, ``ACROSS`` at a time; one empty part if there is no column."""
    return [range(at, min(at + ACROSS, columns)) for at in range(0, columns, ACROSS)] or [range(0)]
