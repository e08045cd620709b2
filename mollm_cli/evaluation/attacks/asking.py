"""What the rewrites share: what is measured on them, and how changed rows become a set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mollm_cli.core.types import Example
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.dialogue import Turn, as_prompt, turns_of
from mollm_cli.data.load_dataset import Loaded

METRICS = frozenset({"probability", "rouge_l", "extraction_strength"})
"""What is measured on rows that are asked otherwise: what teacher forcing finds, and what is said."""


def asked(rows: Loaded, attack: str, examples: Iterable[Example], dataset: Dataset | None = None) -> Loaded | None:
    """``examples`` as a set made of ``rows`` by ``attack``, never kept between runs; None where there are none.

    dataset: how they are written, where that is not as ``rows`` are.
    """
    kept = rows.keep(examples, attack=attack)
    return replace(kept, dataset=dataset or rows.dataset, cache=False) if kept.examples else None


def question(prompt: str) -> str:
    """The last question of a prompt, without what was said before it."""
    return next(turn.content for turn in reversed(turns_of(prompt)) if turn.role == "user")


def reworded(prompt: str, new: str) -> str:
    """``prompt`` with ``new`` as its last question; what was said before it stays."""
    turns = list(turns_of(prompt))
    last = max(place for place, turn in enumerate(turns) if turn.role == "user")
    turns[last] = Turn("user", new)
    return as_prompt(turns)
