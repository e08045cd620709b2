"""Multiple choice: a question, its choices, and which of them is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mollm_cli.core.discretion import told

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def right_choice(choices: list[str], answer: Any) -> int:
    """The index of the right choice.

    ``answer``: an index from 0 (also as text), a letter, the text of a choice, or one flag per choice, the first set
    one of which counts (TruthfulQA's mc1_targets.labels). A choice's own text wins over a letter and an index.
    Raises ValueError, whose text goes on after "must hold".
    """
    if isinstance(answer, list | tuple):
        if len(answer) == len(choices) and 1 in answer:
            return answer.index(1)
        raise ValueError(f"one flag per choice with a 1 among them, found {len(answer)} for {len(choices)} choices")
    if isinstance(answer, str):
        plain = answer.strip()
        if plain in choices:
            return choices.index(plain)
        letter = plain.strip("().").upper()
        if len(letter) == 1 and letter in LETTERS[: len(choices)]:
            return LETTERS.index(letter)
        if not (plain.isascii() and plain.isdigit() and len(plain) < 3):
            raise ValueError(f"an index, a letter or the text of one of the {len(choices)} choices, found another text")
        answer = int(plain)
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(choices):
        found = told(answer) if isinstance(answer, int) else type(answer).__name__
        raise ValueError(f"the index of one of the {len(choices)} choices (0 is the first), found {found}")
    return answer


def listed(question: str, choices: list[str]) -> str:
    """The question with its choices below it, a letter each."""
    return "\n".join([question, *(f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False))])


def read_choices(value: Any) -> list[str]:
    """The texts of the choices: a list, or one column per letter ({"A": ..., "B": ...}). Raises ValueError as above."""
    texts = list(value.values()) if isinstance(value, Mapping) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError("a list of texts, none of them empty, found another value")
    if not 2 <= len(texts) <= len(LETTERS):
        raise ValueError(f"2 to {len(LETTERS)} choices, found {len(texts)}")
    return list(texts)
