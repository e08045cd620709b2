"""The rows of a request on the screen of ``--check``, as the model will read them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mollm_cli.core.privacy import KeepText, shows_text
from mollm_cli.core.types import COUNTERFACTUAL, MADE_PROBES
from mollm_cli.data.ordinary import ORDINARY
from mollm_cli.data.preview import MASK, Shown, preview

if TYPE_CHECKING:
    from mollm_cli.run.prepare import Prepared

LEGEND = "[[ ]] is what the model is to say (targets), all else is given; ↵ a line break"
ROWS = 3
"""Rows that are shown of each role."""
LINES, LAST = 12, 4
"""Lines that a row has at most, and how many of these are its last."""
INDENT = "    "
NARROWEST = 40


def screen(prepared: Prepared, keep_text: KeepText, width: int | None = None) -> Iterator[str]:
    """The lines of all roles, at most ``width`` columns wide (None: as wide as the terminal, 80 without one)."""
    columns = max(NARROWEST, width or shutil.get_terminal_size((80, 24)).columns)
    yield LEGEND
    # Ordinary prompts are the package's own, and their answers are not there yet; the others are made of forget rows.
    for role, loaded in prepared.loaded.items():
        if role in (ORDINARY, COUNTERFACTUAL, *MADE_PROBES):
            continue
        tokens = sum(len(row.input_ids) for row in prepared.encoded[role])
        targets = sum(row.targets for row in prepared.encoded[role])
        yield f"{role}: {len(loaded.examples)} rows, {tokens} tokens, {targets} of them targets"
        if not shows_text(loaded.content, keep_text):
            yield f"  {loaded.content}: {MASK} stands for a token of text; evaluation.keep_text=true shows it"
        for row in preview(loaded, role, prepared.tokenizer, ROWS, keep_text):
            yield f"  {row.id} ({row.tokens} tokens, {row.targets} targets)"
            yield from (f"{INDENT}{line}" for line in _shortened(_lines(row, columns - len(INDENT))))


def _lines(row: Shown, width: int) -> list[str]:
    """The text of a row with its targets marked, in lines of at most ``width`` columns, each break of its own as ↵."""
    from rich.console import Console
    from rich.text import Text

    text = "".join(f"[[{part.text}]]" if part.target else part.text for part in row.parts)
    lines = text.replace("\n", "↵\n").expandtabs(4).removesuffix("\n").split("\n")
    console = Console(width=width)
    return [piece.plain for line in lines for piece in Text(line).wrap(console, width)]


def _shortened(lines: Sequence[str]) -> list[str]:
    if len(lines) <= LINES:
        return list(lines)
    left_out = len(lines) - LINES + 1
    return [*lines[: LINES - LAST - 1], f"... {left_out} lines more ...", *lines[-LAST:]]
