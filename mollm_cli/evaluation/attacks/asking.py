"""Building blocks of the rewrites: the metrics on rewritten rows, a set made of changed rows, the last question."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mollm_cli.core.types import Example
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.dialogue import Turn, as_prompt, turns_of
from mollm_cli.data.load_dataset import Loaded

METRICS = frozenset({"probability", "rouge_l", "extraction_strength"})
"""Metrics on rewritten rows: one of teacher forcing, one of the generated text, one of both."""


def asked(rows: Loaded, attack: str, examples: Iterable[Example], dataset: Dataset | None = None) -> Loaded | None:
    """The set that ``attack`` makes of ``rows``: ``examples``, never kept between runs; None without an example.

    dataset: the description by which they are written, if it is not that of ``rows``.
    """
    kept = rows.keep(examples, attack=attack)
    return replace(kept, dataset=dataset or rows.dataset, cache=False) if kept.examples else None


def question(prompt: str) -> str:
    """The last question of a prompt, without the conversation before it."""
    return next(turn.content for turn in reversed(turns_of(prompt)) if turn.role == "user")


def reworded(prompt: str, new: str) -> str:
    """``prompt`` with ``new`` as its last question; the conversation before it stays."""
    turns = list(turns_of(prompt))
    last = max(place for place, turn in enumerate(turns) if turn.role == "user")
    turns[last] = Turn("user", new)
    return as_prompt(turns)
