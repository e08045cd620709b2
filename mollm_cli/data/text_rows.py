"""Plain text: each line that is not blank is a row with the one column ``text`` (the form of WikiText)."""

from __future__ import annotations

from mollm_cli.data.source_row import Numbered


def read_text(text: str, name: str) -> Numbered:
    """The lines of ``text``, stripped of surrounding white space; blank ones are no rows but are counted."""
    for row, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield row, {"text": line.strip()}


def read_document(text: str, name: str) -> Numbered:
    """All of ``text`` as one row; none where it is blank."""
    if text.strip():
        yield 1, {"text": text}
