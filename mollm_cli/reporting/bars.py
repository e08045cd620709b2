"""Values and their 95 % intervals on one axis, so that a model is seen beside what it is compared with.

Places are percentages of the axis. templates/parts.html.j2 draws them as HTML, so that text never shrinks with a
picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mollm_cli.reporting.measures import Interval, Measure
from mollm_cli.reporting.plots import ticks

NEVER_SEEN = "never-seen rows"
"""The readers' name for rows of the forget set's kind that no training saw."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One value. kind: "after" is the value judged, "aim" a value to compare it with, "start" its value before."""

    label: str
    value: float
    interval: Interval | None
    kind: str


@dataclass(frozen=True, slots=True)
class Axis:
    """The range that all bars of a chart share."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """The place of ``value`` in percent from the left, to one decimal; values off the axis lie at its end."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 1)

    def length(self, interval: Interval) -> float:
        """The length of ``interval`` in percent of the axis."""
        return round(self.place(interval[1]) - self.place(interval[0]), 1)


@dataclass(frozen=True, slots=True)
class Bars:
    """A chart of bars with a title; ``note`` is a line under the title."""

    title: str
    bars: tuple[Bar, ...]
    note: str = ""

    @property
    def axis(self) -> Axis:
        """[0, 1] for shares and probabilities, else round numbers around 0 and every bar."""
        ends = [end for bar in self.bars for end in (bar.value, *(bar.interval or ()))]
        if all(0 <= end <= 1 for end in ends):
            return Axis(0.0, 1.0)
        # 0 stays on the axis, or distances would look larger than they are.
        steps = ticks((min(0.0, *ends), max(0.0, *ends)), about=4)
        return Axis(steps[0], steps[-1])


def standing(found: Sequence[Measure]) -> list[Bars]:
    """The forget and the retain probability before and after, beside the oracle's and that of never-seen rows."""
    by_name = {measure.name: measure for measure in found}
    charts = []
    for side in ("forget", "retain"):
        measure = by_name.get(f"{side}_probability")
        bars = () if measure is None else bars_of(measure)
        if bars:
            charts.append(Bars(f"Probability of the {side} answers", bars))
    return charts


def bars_of(measure: Measure) -> tuple[Bar, ...]:
    """The values that a measure has, in reading order."""
    moments = (
        ("before", "before", measure.before, "start"),
        ("after", "after", measure.after, "after"),
        ("oracle", "oracle", measure.oracle, "aim"),
        ("holdout", NEVER_SEEN, measure.holdout, "aim"),
    )
    return tuple(
        Bar(title, value, measure.intervals.get(moment), kind)
        for moment, title, value, kind in moments
        if value is not None
    )
