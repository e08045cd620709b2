"""Rows of the quality benchmark as a table and as a Pareto plot, for the terminal and for docs/BENCHMARKS.md."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.quality_rows import Row, best_rate
from benchmarks.quality_tasks import Contender, Task
from mollm_cli.reporting import plots
from mollm_cli.reporting.comparison.front import Point, on_front

FONT = "font-family='sans-serif' font-size='9' fill='#333'"


@dataclass(frozen=True, slots=True)
class Line:
    """One loss over its seeds, by axis: the rows that reached the mark, and how many were run."""

    loss: str
    solver: str
    rate: float
    seeds: tuple[int, ...]
    reached: Mapping[str, Sequence[Row]]

    def complete(self, task: Task) -> bool:
        """Whether every seed was run and reached every mark: what competes."""
        return len(self.seeds) >= len(task.seeds) and all(len(r) == len(self.seeds) for r in self.reached.values())


def mean_error(values: Sequence[float]) -> tuple[float, float | None] | None:
    """(mean, standard error of the mean); no error for a single value; None for none."""
    if not values:
        return None
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return statistics.fmean(values), error


def table_lines(task: Task, contenders: Sequence[Contender], rows: Sequence[Row], seeds: Sequence[int]) -> list[Line]:
    """A line for every contender with a run on one of ``seeds``, the one that keeps most first."""
    found = []
    for contender in contenders:
        rate = best_rate(rows, task, contender.name)
        mine = [r for r in rows if (r["task"], r["loss"], r["learning_rate"]) == (task.name, contender.name, rate)]
        mine = list({(r["seed"], r["axis"]): r for r in mine if r["seed"] in seeds}.values())
        if rate is None or not mine:
            continue
        reached = {axis: [r for r in mine if r["axis"] == axis and r["reached"]] for axis in task.axes}
        run = tuple(sorted({r["seed"] for r in mine}))
        found.append(Line(contender.name, mine[0]["solver"], rate, run, reached))
    return sorted(found, key=lambda line: _rank(task, line))


def _rank(task: Task, line: Line) -> tuple[Any, ...]:
    kept = mean_error([r[task.compared] for r in line.reached[next(iter(task.axes))]])
    worst = math.inf if kept is None else kept[0] * (-1 if task.higher else 1)
    return not line.complete(task), worst


def markdown(task: Task, lines: Sequence[Line]) -> str:
    """A table for each axis: means ± standard errors over the seeds that reached its mark, which are counted."""
    return "\n\n".join(f"At matched {_words(axis)}:\n\n{_table(task, lines, axis)}" for axis in task.axes)


def _table(task: Task, lines: Sequence[Line], axis: str) -> str:
    other = next(name for name in task.axes if name != axis)
    columns = ["steps", task.compared, other, *(("forget_quality", "utility") if task.once else ())]
    heads = ["loss", "solver", "learning rate", "reached", *map(_words, columns)]
    body = [_cells(line, line.reached[axis], columns) for line in lines]
    rule = ["---", "---", *("---:" for _ in heads[2:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [heads, rule, *body])


def _cells(line: Line, rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    values = [_cell([r[name] for r in rows if r.get(name) is not None], name) for name in columns]
    return [line.loss, line.solver, f"{line.rate:g}", f"{len(rows)}/{len(line.seeds)}", *values]


def _cell(values: Sequence[float], name: str) -> str:
    found = mean_error(values)
    if found is None:
        return ""
    digits = 0 if name == "steps" else 4
    mean, error = found
    return f"{mean:.{digits}f}" if error is None or name == "steps" else f"{mean:.{digits}f} ± {error:.{digits}f}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def pareto(task: Task, lines: Sequence[Line]) -> str:
    """An SVG: what is kept (up) against the other axis's leak (left) where the first axis is matched.

    Bars are standard errors of what is kept; the front is drawn filled. Lines that do not compete are left out.
    """
    axis, other = task.axes
    competing = [line for line in lines if line.complete(task)]
    kept = {line.loss: mean_error([r[task.compared] for r in line.reached[axis]]) for line in competing}
    leak = {line.loss: mean_error([r[other] for r in line.reached[axis]]) for line in competing}
    places = [(loss, leak[loss][0], kept[loss][0], kept[loss][1] or 0.0) for loss in kept if kept[loss] and leak[loss]]
    sign = 1 if task.higher else -1
    front = on_front([Point(x, sign * y) for _, x, y, _ in places])
    marks = tuple(plots.Mark(loss, x, y, not best) for (loss, x, y, _), best in zip(places, front, strict=True))
    bars = tuple(plots.Series(loss, ((x, y - e), (x, y + e))) for loss, x, y, e in places)
    title = f"{_words(task.compared)} against {_words(other)} at matched {_words(axis)}"
    return _svg(plots.layout(plots.Chart(title, _words(other), bars, marks=marks)), _words(task.compared))


def _svg(drawing: plots.Drawing, y_label: str) -> str:
    """A drawing with its own colours, to stand alone in a Markdown page."""
    frame, width, height = drawing.frame, plots.WIDTH, plots.HEIGHT
    right, bottom = width - plots.RIGHT, height - plots.BOTTOM
    parts = ["<rect width='100%' height='100%' fill='#fff'/>"]
    for y in frame.y_ticks:
        parts.append(f"<path d='M{plots.LEFT},{frame.y(y):.1f} H{right}' stroke='#ddd'/>")
        tick = plots.tick(y, frame.y_ticks)
        parts.append(f"<text x='{plots.LEFT - 5}' y='{frame.y(y) + 3.5:.1f}' text-anchor='end' {FONT}>{tick}</text>")
    for x in frame.x_ticks:
        tick = plots.tick(x, frame.x_ticks)
        parts.append(f"<text x='{frame.x(x):.1f}' y='{bottom + 14}' text-anchor='middle' {FONT}>{tick}</text>")
    parts.append(f"<text x='{width / 2}' y='{height - 6}' text-anchor='middle' {FONT}>{drawing.chart.x_label}</text>")
    middle = (plots.TOP + bottom) / 2
    parts.append(f"<text transform='translate(12,{middle}) rotate(-90)' text-anchor='middle' {FONT}>{y_label}</text>")
    parts += [f"<path d='{line.d}' stroke='#888'/>" for line in drawing.lines if line.d]
    for mark in drawing.marks:
        fill = "#fff" if mark.mark.hollow else "#06c"
        parts.append(f"<circle cx='{mark.x:.1f}' cy='{mark.y:.1f}' r='4' fill='{fill}' stroke='#06c'/>")
        place = f"x='{mark.label_x:.1f}' y='{mark.label_y:.1f}' text-anchor='{mark.anchor}'"
        parts.append(f"<text {place} {FONT}>{escape(mark.mark.label)}</text>")
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img' width='{2 * width}'>"
    return "\n".join([head, f"<title>{escape(drawing.chart.title)}</title>", *parts, "</svg>"]) + "\n"


def into_page(page: Path, task: Task, block: str) -> None:
    """Put ``block`` between the page's markers of this task. Raises ValueError where it has none."""
    begin, end = f"<!-- quality {task.name} -->", f"<!-- end of quality {task.name} -->"
    text = page.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{page} must have the lines '{begin}' and '{end}' once each, to put the table between")
    before, after = text.split(begin)[0], text.split(end)[1]
    page.write_text(f"{before}{begin}\n{block}\n{end}{after}", encoding="utf-8")
