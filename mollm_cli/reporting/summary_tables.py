"""The tables of the summary on a terminal (forget beside retain, other sets, attacks), and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from mollm_cli.core.printable import printable
from mollm_cli.reporting.attack_tables import AttackTable
from mollm_cli.reporting.bars import NEVER_SEEN, standing
from mollm_cli.reporting.formatting import MOOD_SIGN, NONE, Mood, label, mood, number, verdict_texts, with_span
from mollm_cli.reporting.measures import ATTACK, SIDE_BY_SIDE, SIGN, Measure, Movement, columns, of_set

_STYLE: dict[Movement, str] = {"better": "green", "worse": "bold red", "past": "bold red", "same": "dim", "unknown": ""}
_MOOD_STYLE: dict[Mood, str] = {"good": "green", "bad": "bold red", "open": "bold"}
_TITLES = {"before": "before", "after": "after", "oracle": "oracle", "holdout": "unseen"}


def side_by_side(found: Sequence[Measure]) -> Table:
    """Forget and retain side by side, on rows trained on and on rows never trained on."""
    table = _empty()
    table.add_column("")
    groups = [[row for row in found if row.set in pair] for pair in zip(*SIDE_BY_SIDE, strict=True)]
    shown = [_columns(group) for group in groups]
    for side, moments in zip(("forget", "retain"), shown, strict=True):
        for place, moment in enumerate((*moments, "")):
            title = f"{'' if place else side}\n{_TITLES.get(moment, '')}"
            table.add_column(title, justify="right" if moment else "left", no_wrap=True)
    for title, pair in zip(("rows trained on", "rows never trained on"), SIDE_BY_SIDE, strict=True):
        sides = [of_set(found, group) for group in pair]
        metrics = dict.fromkeys(measure.metric for measure in found if any(measure.metric in side for side in sides))
        if metrics:
            table.add_row(Text(title, style="italic dim"))
        for metric in metrics:
            cells = [
                cell for side, moments in zip(sides, shown, strict=True) for cell in _cells(side.get(metric), moments)
            ]
            table.add_row(Text(label(metric)), *cells)
    return table


def other_sets(rest: Sequence[Measure]) -> Table:
    """The measures of other sets and of the model as a whole."""
    table = _empty()
    moments = _columns([row for row in rest if row.holdout is None])
    table.add_column("other sets")
    for moment in moments:
        table.add_column(_TITLES[moment], justify="right")
    table.add_column("")
    for measure in rest:
        table.add_row(Text(measure.title), *_cells(measure, moments))
    return table


def attack_table(rows: Sequence[AttackTable]) -> Table:
    """Each attack's value beside those on a model and on rows to compare with."""
    table = _empty()
    for title in ("under attack", ""):
        table.add_column(title)
    for title in ("without", "after", "oracle", "unseen"):
        table.add_column(title, justify="right")
    table.add_column("")
    for row in rows:
        style = _MOOD_STYLE[row.mood]
        table.add_row(
            Text(row.title),
            Text(label(row.headline), style="dim"),
            Text(number(row.plain), style="dim"),
            Text(number(row.measure.after), style=style),
            Text(number(row.measure.oracle), style="dim"),
            Text(number(row.holdout), style="dim"),
            Text(f"{MOOD_SIGN[row.mood]} {label(row.word)}", style=style),
        )
    return table


def standing_lines(found: Sequence[Measure]) -> list[str]:
    """One line on the forget probability and its yardstick, with intervals; [] without a yardstick."""
    chart = next((chart for chart in standing(found) if "forget" in chart.title), None)
    if chart is None or not any(bar.kind == "aim" for bar in chart.bars):
        return []
    parts = [f"{bar.label} {with_span(bar.value, bar.interval)}" for bar in chart.bars if bar.kind != "start"]
    unseen = " (unseen: before the run)" if any(bar.label == NEVER_SEEN for bar in chart.bars) else ""
    return [f"probability of the forget answers: {', '.join(parts)}{unseen}"]


def notes(found: Sequence[Measure]) -> list[str]:
    """Notes on values, such as "forget quality: no power, D 0.12, n 40"; of attacks, what is partial."""
    shown = [(row, row.partial if row.name.startswith(ATTACK) else row.note) for row in found]
    return [f"{measure.title}: {note}" for measure, note in shown if note]


def verdict(metrics: Mapping[str, Any]) -> Text:
    """The verdict's parts in one line, in colour."""
    text = Text()
    for part, value in verdict_texts(metrics).items():
        text.append("; " if text else "").append(f"{part}: ")
        text.append(printable(value, one_line=True), style=_MOOD_STYLE[mood(part, metrics)])
    return text


def _empty() -> Table:
    return Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold")


def _columns(found: Sequence[Measure]) -> tuple[str, ...]:
    """Always before, after and oracle, so that tables look alike; never-seen rows if there are any."""
    return ("before", "after", "oracle", *(("holdout",) if "holdout" in columns(found) else ()))


def _cells(measure: Measure | None, moments: Sequence[str]) -> list[Text]:
    """The values of the columns and the sign of the change."""
    if measure is None:
        return [*(Text(NONE, style="dim") for _ in moments), Text()]
    style = _STYLE[measure.change]
    values = [Text(number(measure.value(moment)), style=style if moment == "after" else "dim") for moment in moments]
    return [*values, Text(SIGN[measure.change], style=style)]
