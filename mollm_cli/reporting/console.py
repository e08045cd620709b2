"""What a person reads on stderr: the final table, and the progress of the loop. stdout is never written to."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from mollm_cli.reporting.measures import SIDE_BY_SIDE, SIGN, Change, Measure, measures, of_set, others
from mollm_cli.reporting.trajectory import FORGET, RETAIN
from mollm_cli.reporting.words import NONE, label, number, printable, verdict_line, verdict_words

NARROWEST = 76
"""Terminals narrower than this get lines, for the table would not fit."""

_STYLE: dict[Change, str] = {"better": "green", "worse": "bold red", "same": "dim", "unknown": ""}
_MOODS = {"matched": "green", "kept": "green", "under": "bold red", "over": "bold red", "damaged": "bold red"}


def stderr_console() -> Console:
    """A console on stderr; away from a terminal its lines are plain and never wrapped."""
    return Console(stderr=True, soft_wrap=not sys.stderr.isatty(), highlight=False, markup=False, emoji=False)


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers of one metrics.json for a console: a coloured table on a wide terminal, else one line per number."""

    metrics: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table and the verdict."""
        found = measures(self.metrics)
        if not console.is_terminal or options.max_width < NARROWEST:
            yield from (Segment(line + "\n") for line in plain_lines(found, self.metrics))
            return
        yield _side_by_side(found)
        if others(found):
            yield _others(others(found))
        yield Text("✓ better, on the forget side closer to its yardstick   ✗ worse   ≈ same", style="dim")
        yield _verdict(self.metrics)


def summary(metrics: Mapping[str, Any]) -> Summary:
    """``metrics`` (the content of metrics.json) as something that a rich console prints."""
    return Summary(metrics)


def plain_lines(found: list[Measure], metrics: Mapping[str, Any]) -> list[str]:
    """One line per number, then the verdict: "forget_probability: 0.996 -> 0.104 (oracle 0.104), closer"."""
    lines = []
    for measure in found:
        change = "" if measure.before is None else f"{number(measure.before)} -> "
        oracle = "" if measure.oracle is None else f" (oracle {number(measure.oracle)})"
        word = f", {measure.change_word}" if measure.change_word else ""
        lines.append(printable(f"{measure.name}: {change}{number(measure.after)}{oracle}{word}", one_line=True))
    return [*lines, verdict_line(metrics)]


class Progress:
    """The progress of a loop: a bar with losses and probabilities on a terminal, elsewhere a line an evaluation."""

    def __init__(self, total_steps: int, console: Console | None = None) -> None:
        self._console = console or stderr_console()
        self._total = total_steps
        self._latest: dict[str, float] = {}
        self._bar: Bar | None = None
        if self._console.is_terminal:
            columns = (TextColumn("step"), MofNCompleteColumn(), BarColumn(bar_width=20), TimeRemainingColumn())
            values = TextColumn("{task.description}", markup=False)
            self._bar = Bar(*columns, values, console=self._console, transient=True)
            self._task = self._bar.add_task("", total=total_steps)

    def start(self) -> None:
        """Show the bar, where there is one."""
        if self._bar:
            self._bar.start()

    def step(self, step: int, record: Mapping[str, object]) -> None:
        """Take in the record of ``step`` (a line of train.jsonl); keys it lacks keep their last value on the bar."""
        self._latest |= {key: float(value) for key, value in record.items() if _is_shown(key, value)}  # type: ignore[arg-type]
        if self._bar:
            self._bar.update(self._task, completed=step, description=_values(self._latest))
        elif FORGET in record or RETAIN in record or step == self._total:
            self.message(f"step {step}/{self._total}: {_values(self._latest)}")

    def message(self, text: str) -> None:
        """Print one line, above the bar where there is one."""
        self._console.print(Text(printable(text, one_line=True)))

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar:
            self._bar.stop()


def _is_shown(key: str, value: object) -> bool:
    return isinstance(value, int | float) and (key in (FORGET, RETAIN) or key.startswith("loss."))


def _values(latest: Mapping[str, float]) -> str:
    """The two probabilities first, then the losses."""
    names = {FORGET: "forget", RETAIN: "retain"}
    ordered = sorted(latest, key=lambda key: key not in names)
    return ", ".join(f"{names.get(key) or label(key.removeprefix('loss.'))} {number(latest[key])}" for key in ordered)


def _side_by_side(found: list[Measure]) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
    table.add_column("")
    for side in ("forget", "retain"):
        for row, part in enumerate(("before", "after", "oracle", "")):
            table.add_column(
                f"{side if row == 0 else ''}\n{part}", justify="left" if part == "" else "right", no_wrap=True
            )
    titles = ("rows trained on", "rows never trained on")
    for title, pair in zip(titles, SIDE_BY_SIDE, strict=True):
        sides = [of_set(found, group) for group in pair]
        metrics = dict.fromkeys(measure.metric for measure in found if any(measure.metric in side for side in sides))
        if metrics:
            table.add_row(Text(title, style="italic dim"))
        for metric in metrics:
            table.add_row(Text(label(metric)), *(cell for side in sides for cell in _cells(side.get(metric))))
    return table


def _others(rest: list[Measure]) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
    table.add_column("other sets")
    for part in ("before", "after", "oracle"):
        table.add_column(part, justify="right")
    table.add_column("")
    for measure in rest:
        table.add_row(Text(measure.title), *_cells(measure))
    return table


def _cells(measure: Measure | None) -> list[Text]:
    """before, after, oracle and the sign of the change."""
    if measure is None:
        return [Text(NONE, style="dim"), Text(NONE, style="dim"), Text(NONE, style="dim"), Text()]
    style = _STYLE[measure.change]
    return [
        Text(number(measure.before), style="dim"),
        Text(number(measure.after), style=style),
        Text(number(measure.oracle), style="dim"),
        Text(SIGN[measure.change], style=style),
    ]


def _verdict(metrics: Mapping[str, Any]) -> Text:
    verdict = metrics.get("verdict") or {}
    text = Text()
    for part, words in verdict_words(metrics).items():
        text.append("; " if text else "").append(f"{part}: ").append(
            words, style=_MOODS.get(str(verdict.get(part)), "bold")
        )
    return text
