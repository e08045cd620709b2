"""Correctness of the answers to questions about a text that was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Scored
from mollm_cli.core.words import words
from mollm_cli.metrics.aggregate import MeanMetric
from mollm_cli.metrics.rouge import f1

ENDS = ("\n\n", "\nQuestion", "Question:")
"""A base model that has answered goes on with a question of its own, which begins with one of these."""


@dataclass(frozen=True)
class KnowledgeMemorization(MeanMetric):
    """mean over questions of the ROUGE-L F1 of the greedy answer against the true one, in [0, 1] (MUSE: times 100).

    A generation is read up to an empty line or the next question. limited: the sets whose rows are such questions.
    Source: KnowMem of MUSE (arXiv 2407.06460) and its code. MUSE shows ten answered questions first and stops after
    32 tokens; here questions are asked as they are, and a generation may have evaluation.generate_tokens.
    """

    limited: tuple[str, ...] = ("forget_knowmem", "retain_knowmem")
    name: ClassVar[str] = "knowledge_memorization"
    unit: ClassVar[str] = "F1"
    version: ClassVar[int] = 2
    better: ClassVar[Literal["higher"]] = "higher"
    needs: ClassVar[frozenset[str]] = frozenset({"generation"})

    def value(self, scored: Scored) -> float | None:
        """One F1; None without a generation."""
        if scored.generation is None:
            return None
        return f1(words(_first(scored.generation)), words(scored.example.answer))


def _first(generation: str) -> str:
    """The part of a generation that answers the question asked."""
    for end in ENDS:
        generation = generation.split(end, 1)[0]
    return generation
