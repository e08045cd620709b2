"""Line charts as inline SVG: geometry here, drawing in templates/chart.svg.j2, colours in the page's style sheet.

They are our own so that colours follow the reader's light or dark scheme, which a plotting library's cannot do.
Lengths are in units of the view box, which is as wide as a phone; the page scales it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mollm_cli.reporting.formatting import number

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 10, 36
TONES = 6
"""Number of colours in the style sheet; further series start over."""

MOST_POINTS = 300
"""More points are thinned to about this many, extremes kept, because pixels could not show them."""

_CHARACTER, _LINE = 6.8, 12.0
"""Width of a label's character, and height of its line."""

XY = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """One line; a point without a y breaks it. tone: its colour. dots: every point is marked."""

    name: str
    points: tuple[XY, ...]
    tone: int = 0
    dashed: bool = False
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """One labelled point; ``hollow`` sets a target apart from measured points."""

    label: str
    x: float
    y: float
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """The content of a chart. rule: a labelled horizontal line. x_range, y_range: None follows the data."""

    title: str
    x_label: str
    series: tuple[Series, ...]
    note: str = ""
    marks: tuple[Mark, ...] = ()
    rule: tuple[str, float] | None = None
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None

    @property
    def empty(self) -> bool:
        """True if there is no point to draw."""
        return not any(y is not None for series in self.series for _, y in series.points)


SAME = 1e-9
"""Relative distance below which two values count as one: the ticks between them would look the same."""
TINY = 1e-300
"""The smallest distance that is safe to divide by."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The rectangle of the data, and the linear map from it to the view box."""

    x_ticks: tuple[float, ...]
    y_ticks: tuple[float, ...]
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def x(self, value: float) -> float:
        """Horizontal place of ``value``."""
        low, high = self.x_range
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Vertical place of ``value``; up is more."""
        low, high = self.y_range
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - TOP)


@dataclass(frozen=True, slots=True)
class Line:
    """A series as an SVG path (its ``d`` attribute, "" if no two points follow each other) and dots."""

    series: Series
    d: str
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class PlacedMark:
    """A mark at (x, y) with its label at (label_x, label_y)."""

    mark: Mark
    x: float
    y: float
    label_x: float
    label_y: float
    anchor: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart laid out for templates/chart.svg.j2."""

    chart: Chart
    frame: Frame
    lines: tuple[Line, ...]
    marks: tuple[PlacedMark, ...]


@dataclass(slots=True)
class Labels:
    """Places labels beside their points; none covers another as long as there is space."""

    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def place(self, text: str, x: float, y: float) -> tuple[float, float, str]:
        """(x, y, anchor) of the text: the first free place among below, above and further off, else below."""
        width = _CHARACTER * len(text)
        choices = [place for dy in (21, -13, 35, -27) for place in ((x - 6, y + dy, "start"), (x + 6, y + dy, "end"))]
        for place in choices:
            box = _box(place, width)
            if _inside(box) and not any(_overlap(box, other) for other in self.taken):
                self.taken.append(box)
                return place
        return choices[0]


def layout(chart: Chart) -> Drawing:
    """Lay out ``chart``."""
    frame = frame_of(chart)
    places = [(mark, frame.x(mark.x), frame.y(mark.y)) for mark in chart.marks]
    labels = Labels([(x - 8, y - 8, x + 8, y + 8) for _, x, y in places])
    return Drawing(
        chart=chart,
        frame=frame,
        lines=tuple(Line(series, *_path(frame, series)) for series in chart.series),
        marks=tuple(PlacedMark(mark, x, y, *labels.place(mark.label, x, y)) for mark, x, y in places),
    )


def frame_of(chart: Chart) -> Frame:
    """The frame that holds every point, mark and rule of ``chart``."""
    points = [(x, y) for series in chart.series for x, y in series.points if y is not None]
    points += [(mark.x, mark.y) for mark in chart.marks]
    ys = [y for _, y in points] + ([chart.rule[1]] if chart.rule else [])
    x_ticks = ticks(chart.x_range or _range(x for x, _ in points), 5)
    y_ticks = ticks(chart.y_range or _range(ys), 4)
    x_range = chart.x_range or _range(x for x, _ in points)
    return Frame(
        tuple(t for t in x_ticks if x_range[0] <= t <= x_range[1]), y_ticks, x_range, (y_ticks[0], y_ticks[-1])
    )


def thin(points: Sequence[XY], most: int = MOST_POINTS) -> list[XY]:
    """About ``most`` points at most: the lowest and the highest of each bucket of neighbours, gaps kept."""
    if len(points) <= most:
        return list(points)
    per_bucket = math.ceil(2 * len(points) / most)
    kept: list[XY] = []
    for start in range(0, len(points), per_bucket):
        bucket = points[start : start + per_bucket]
        known = [(y, index) for index, (_, y) in enumerate(bucket) if y is not None]
        gap = [next(i for i, (_, y) in enumerate(bucket) if y is None)] if len(known) < len(bucket) else []
        extremes = [min(known)[1], max(known)[1]] if known else []
        kept += [bucket[index] for index in sorted({*gap, *extremes})]
    return kept


def _path(frame: Frame, series: Series) -> tuple[str, tuple[tuple[float, float], ...]]:
    """The path's ``d`` attribute and the dots: all points if asked for, else those that no line reaches."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in thin(series.points):
        if y is None:
            runs.append([])
        else:
            runs[-1].append((round(frame.x(x), 1), round(frame.y(y), 1)))
    d = " ".join("M" + " L".join(f"{x:g},{y:g}" for x, y in run) for run in runs if len(run) > 1)
    return d, tuple(place for run in runs if series.dots or len(run) == 1 for place in run)


def _range(values: Iterable[float]) -> tuple[float, float]:
    found = list(values)
    low, high = (min(found), max(found)) if found else (0.0, 1.0)
    if same(low, high):  # means of runs with equal results differ by rounding
        pad = abs(low) * 0.1 if abs(low) > TINY else 0.5
        return low - pad, high + pad
    return low, high


def same(low: float, high: float) -> bool:
    """True if the two are too close for a chart between them."""
    return high - low <= max(SAME * max(abs(low), abs(high)), TINY)


def ticks(span: tuple[float, float], about: int) -> tuple[float, ...]:
    """``about`` round numbers, from at or below the start of ``span`` to at or above its end."""
    low, high = span
    raw = (high - low) / about
    exponent = math.floor(math.log10(raw))
    magnitude = 10.0**exponent
    # The slack (0.999, 1e-9) keeps rounding errors from asking for a larger step or one more tick.
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(index * step, max(12, 3 - exponent)) for index in range(first, last + 1))


def tick(value: float, ticks: Sequence[float]) -> str:
    """A tick's text, with as many decimals as the distance between ticks needs."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(value) or 1.0
    if max(abs(t) for t in ticks) >= 1e5 or step < 1e-4:
        return f"{value:.1e}" if value else "0"
    decimals = next(d for d in range(6) if abs(step * 10**d - round(step * 10**d)) < 1e-6 * step * 10**d)
    return f"{value:,.{decimals}f}"


def describe(chart: Chart) -> str:
    """The chart as a sentence for screen readers: each line's first and last value."""
    parts = []
    for series in chart.series:
        values = [y for _, y in series.points if y is not None]
        if values:
            parts.append(f"{series.name} from {number(values[0])} to {number(values[-1])}")
    parts += [f"{mark.label} at {number(mark.x)}, {number(mark.y)}" for mark in chart.marks]
    return f"{chart.title}: {'; '.join(parts)}"


def _box(place: tuple[float, float, str], width: float) -> tuple[float, float, float, float]:
    x, y, anchor = place
    left = x if anchor == "start" else x - width
    return left, y - _LINE + 2, left + width, y + 3


def _inside(box: tuple[float, float, float, float]) -> bool:
    return box[0] >= LEFT and box[2] <= WIDTH - 2 and box[1] >= 0 and box[3] <= HEIGHT - BOTTOM


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
