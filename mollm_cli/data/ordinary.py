"""Ordinary prompts, shipped with the package: what no retain row mentions, and should stay as it was."""

from __future__ import annotations

from mollm_cli.core.types import Content
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.load_dataset import Loaded, load
from mollm_cli.data.near_duplicates import NearDuplicates

ORDINARY = "ordinary"
"""The set's name, beside those of roles."""
SHARE = 0.5
"""Share of a step's retain rows that are ordinary prompts where nobody says it."""
ALIKE = 0.5
"""A prompt that shares this much of its words with a row to forget is left out."""
TOKENS = 24
"""Tokens of an answer: how it begins is what drifts."""


def ordinary_prompts(forget: Loaded) -> Loaded:
    """The prompts, with empty answers, without those that are like a row of ``forget``.

    They are as confidential as those: what a model answers is as personal, or harmful, as what it is to forget.
    """
    found = load(_described(forget.content), ORDINARY)
    to_forget = NearDuplicates(forget.examples, ALIKE)
    return found.keep(example for example in found.examples if to_forget.find(example) is None)


def _described(content: Content) -> Dataset:
    return Dataset(
        ORDINARY,
        embedded="ordinary/prompts.jsonl",
        prompt_field="prompt",
        answers_from="model",
        answer_tokens=TOKENS,
        content=content,
    )
