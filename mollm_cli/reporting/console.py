"""Output for people on stderr: the final table, and the progress of the loop. Nothing is written to stdout."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment
from rich.text import Text

from mollm_cli.core.printable import printable
from mollm_cli.core.secrets import redacted
from mollm_cli.reporting.attack_tables import attacks
from mollm_cli.reporting.drift_lines import drift_lines
from mollm_cli.reporting.formatting import number, verdict_line, with_span
from mollm_cli.reporting.measures import ATTACK, Measure, measures, others, rows_of_sets
from mollm_cli.reporting.summary_tables import attack_table, notes, other_sets, side_by_side, standing_lines, verdict

NARROWEST = 76
"""Narrower terminals get lines, because the table would not fit."""


class _Plain(RenderHook):
    """Makes all rendered text ``printable`` and ``redacted``, so that styles come from rich and never from the text."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """``renderables``, each as its clean segments."""
        return [_Segments(renderable) for renderable in renderables]


@dataclass(frozen=True, slots=True)
class _Segments:
    renderable: ConsoleRenderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.renderable, options):
            plain = segment.text if segment.control else printable(redacted(segment.text))
            yield Segment(plain, segment.style, segment.control)


def plain_console(console: Console) -> Console:
    """Keep ``console`` from showing escapes, control characters or secrets in a text, and return it."""
    console.push_render_hook(_Plain())
    return console


def stderr_console() -> Console:
    """A console on stderr; if that is no terminal, lines are plain and never wrapped."""
    off_terminal, file = not sys.stderr.isatty(), sys.stderr
    while (inner := getattr(file, "rich_proxied_file", None)) is not None:
        file = inner  # rich looks one stream further only, and a live line puts one of its own in front
    return plain_console(Console(file=file, soft_wrap=off_terminal, highlight=False, markup=False, emoji=False))


@dataclass(frozen=True, slots=True)
class Summary:
    """The content of metrics.json for a console: a coloured table on a wide terminal, else one line per number."""

    metrics: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table and the verdict."""
        found = measures(self.metrics)
        if not console.is_terminal or options.max_width < NARROWEST:
            yield from (Segment(line + "\n") for line in plain_lines(found, self.metrics))
            return
        yield side_by_side(found)
        if others(found):
            yield other_sets(others(found))
        if rows := attacks(self.metrics, found):
            yield attack_table(rows)
        yield Text("✓ better, on the forget side closer to the yardstick   ✗ worse  ↧ past it  ≈ same", style="dim")
        yield from (Text(line, style="dim") for line in (*notes(found), rows_of_sets(found)) if line)
        yield from (Text(line) for line in (*standing_lines(found), *drift_lines(self.metrics)))
        yield verdict(self.metrics)


def plain_lines(found: list[Measure], metrics: Mapping[str, Any]) -> list[str]:
    """One line per number, one per attack, the rows of each set, then the verdict.

    "forget_probability: 0.996 -> 0.104 (0.071–0.142) (oracle 0.104, never seen 0.207), closer"
    """
    lines = [_line(measure) for measure in found if not measure.name.startswith(ATTACK)]
    for attack in attacks(metrics, found):
        value = with_span(attack.measure.after, attack.measure.intervals.get("after"))
        value = f"{attack.headline} {value}{_beside(attack.measure, attack.holdout)}"
        lines.append(f"{ATTACK}{attack.name}: " + ", ".join(filter(None, (value, attack.word, attack.measure.note))))
    lines += [*filter(None, [rows_of_sets(found)]), *drift_lines(metrics)]
    return [*(printable(line, one_line=True) for line in lines), verdict_line(metrics)]


def _line(measure: Measure) -> str:
    change = "" if measure.before is None else f"{number(measure.before)} -> "
    value = f"{change}{with_span(measure.after, measure.intervals.get('after'))}{_beside(measure, measure.holdout)}"
    return f"{measure.name}: " + ", ".join(word for word in (value, measure.change_word, measure.note) if word)


def _beside(measure: Measure, holdout: float | None) -> str:
    """The values to compare with, in brackets."""
    known = (("oracle", measure.oracle), ("never seen", holdout))
    parts = [f"{name} {number(value)}" for name, value in known if value is not None]
    return f" ({', '.join(parts)})" if parts else ""
