"""A comparison as text: for a terminal, and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mollm_cli.reporting.comparison.table import HEAD, Comparison

if TYPE_CHECKING:
    from rich.console import RenderableType

GAP = 2
"""Blanks between two columns."""

_MARKUP = re.compile(r"([\\|`*\[\]<>])")
"""Characters that Markdown would read as markup."""


def render(comparison: Comparison, width: int) -> RenderableType:
    """The table for a console ``width`` columns wide, then the notes.

    Columns that do not fit follow below, each part with the groups' letters, so that no number is ever wrapped.
    """
    from rich.console import Group
    from rich.text import Text

    header, body = comparison.header, comparison.body
    first, *more = _blocks(header, body, width) or [[]]
    parts: list[RenderableType] = [_part(header, body, [*range(len(HEAD)), *first], width)]
    parts += [part for block in more for part in (Text(), _part(header, body, [0, *block], width))]
    notes = [Text(note, style="dim") for note in comparison.notes]
    return Group(*parts, *([Text(), *notes] if notes else []))


def markdown(comparison: Comparison) -> str:
    """A Markdown table, then the notes as a list."""
    header, body = comparison.header, comparison.body
    ruler = ["---", "---", *["---:"] * (len(header) - 2)]
    lines = [f"| {' | '.join(map(escaped, row))} |" for row in (header, ruler, *body)]
    notes = [f"- {escaped(note)}" for note in comparison.notes]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def escaped(text: str) -> str:
    """``text`` with a backslash before each character that Markdown would read as markup."""
    return _MARKUP.sub(r"\\\1", text)


def _blocks(header: Sequence[str], body: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """The metric columns in parts that fit beside the columns on their left: HEAD at first, then the letters alone."""
    widths = [_widest(header, body, column) for column in range(len(header))]
    widths[1] = min(widths[1], _most(width))
    left = sum(widths[: len(HEAD)]) + GAP * (len(HEAD) - 1)
    blocks: list[list[int]] = []
    used = width + 1  # the first column opens the first part
    for column in range(len(HEAD), len(header)):
        if used + GAP + widths[column] > width:
            used = widths[0] if blocks else left
            blocks.append([])
        used += GAP + widths[column]
        blocks[-1].append(column)
    return blocks


def _part(header: Sequence[str], body: Sequence[Sequence[str]], columns: Sequence[int], width: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        if column < 2:
            most = _most(width) if column else None
            table.add_column(Text(header[column]), max_width=most, overflow="fold")
        else:
            table.add_column(Text(header[column]), justify="right", no_wrap=True)
    for row in body:
        table.add_row(*(Text(row[column]) for column in columns))
    return table


def _widest(header: Sequence[str], body: Sequence[Sequence[str]], column: int) -> int:
    from rich.cells import cell_len

    return max(cell_len(row[column]) for row in (header, *body))


def _most(width: int) -> int:
    """The greatest width of the column of names; longer names are folded."""
    return max(24, width // 3)
