"""Shared by the metrics of generated answers: a blank answer says nothing, so it is left out and counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mollm_cli.core.types import Result, Scored
from mollm_cli.core.words import another_script, words_and_marks
from mollm_cli.metrics.aggregate import mean_result


def is_blank(text: str) -> bool:
    """True of a text that is empty or only white space."""
    return not text.strip()


def answer(scored: Scored) -> str | None:
    """The generated text; None if no generation was asked for, or if it is blank."""
    return None if scored.generation is None or is_blank(scored.generation) else scored.generation


def blanks(examples: Sequence[Scored]) -> int:
    """The number of blank generations."""
    return sum(scored.generation is not None and is_blank(scored.generation) for scored in examples)


def mean_over_answers(examples: Sequence[Scored], measure: Callable[[str], float | None]) -> Result:
    """The mean of ``measure`` over the answers that are not blank; details count the blank ones ("blank")."""
    texts = map(answer, examples)
    result = mean_result(None if text is None else measure(text) for text in texts)
    return replace(result, details={"blank": blanks(examples)})


def grams(text: str, n: int) -> list[tuple[str, ...]]:
    """All runs of ``n`` words of the text (core/words.py), in order; a punctuation mark counts as a word."""
    parts = words_and_marks(text)
    return [tuple(parts[i : i + n]) for i in range(len(parts) - n + 1)]


def mean_over_english(examples: Sequence[Scored], measure: Callable[[str], float]) -> Result:
    """``mean_over_answers`` for word lists of English: an answer whose letters are of another script has no value."""
    return mean_over_answers(examples, lambda text: None if another_script(text) else measure(text))
