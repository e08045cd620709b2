"""Two tests for pairs of rows: the same row, and a row about the same thing."""

from __future__ import annotations

from mollm_cli.core.types import Example


def normalised(text: str) -> str:
    """``text`` with every run of white space as one space, none at its ends."""
    return " ".join(text.split())


def subject(example: Example) -> str:
    """The subject of an example: its prompt, or all of a plain text."""
    return normalised(example.prompt or example.answer)


def pair(example: Example) -> tuple[str, str]:
    """Prompt and answer together: safe and unsafe answers share prompts and are still different rows."""
    return normalised(example.prompt), normalised(example.answer)
