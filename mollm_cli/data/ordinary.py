"""Ordinary prompts, shipped with the package: what no retain row mentions, and should stay as it was.

Every MEASURED-th is never trained on: what a model says to these is compared with what it said at its start.
"""

from __future__ import annotations

from collections.abc import Callable

from mollm_cli.core.types import Content
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.load_dataset import Loaded, load
from mollm_cli.data.near_duplicates import NearDuplicates

ORDINARY = "ordinary"
"""The set's name, beside those of roles."""
MEASURED = 4
SHARE = 0.5
"""Share of a step's retain rows that are ordinary prompts where nobody says it."""
ALIKE = 0.5
"""A prompt that shares this much of its words with a row to forget is left out."""
TOKENS = 24
"""Tokens of an answer: how it begins is what drifts."""


def ordinary_prompts(forget: Loaded) -> Loaded:
    """The prompts to train on, with empty answers, without those that are like a row of ``forget``.

    They are as confidential as those: what a model answers is as personal, or harmful, as what it is to forget.
    """
    return _unlike(forget, lambda number: number % MEASURED < MEASURED - 1)


def measured_prompts(forget: Loaded) -> Loaded:
    """The prompts that are only measured, likewise."""
    return _unlike(forget, lambda number: number % MEASURED == MEASURED - 1)


def _unlike(forget: Loaded, wanted: Callable[[int], bool]) -> Loaded:
    found = load(_described(forget.content), ORDINARY)
    to_forget = NearDuplicates(forget.examples, ALIKE)
    chosen = [example for number, example in enumerate(found.examples) if wanted(number)]
    return found.keep(example for example in chosen if to_forget.find(example) is None)


def _described(content: Content) -> Dataset:
    return Dataset(
        ORDINARY,
        embedded="ordinary/prompts.jsonl",
        prompt_field="prompt",
        answers_from="model",
        answer_tokens=TOKENS,
        content=content,
    )
