"""ROUGE-L F1 of the generated text against the answer: missing words count, and so do added ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Scored
from mollm_cli.core.words import words
from mollm_cli.metrics.aggregate import MeanMetric
from mollm_cli.metrics.rouge import f1


@dataclass(frozen=True)
class RougeLF1(MeanMetric):
    """mean over examples of 2 LCS(generation, answer) / (len(generation) + len(answer)), in words, in [0, 1].

    Words are split as in rouge_l; an answer without a word is left out of the mean. Source: Lin (2004); MUSE
    (arXiv 2407.06460).
    """

    name: ClassVar[str] = "rouge_l_f1"
    unit: ClassVar[str] = "F1"
    version: ClassVar[int] = 2
    better: ClassVar[Literal["higher"]] = "higher"
    needs: ClassVar[frozenset[str]] = frozenset({"generation"})

    def value(self, scored: Scored) -> float | None:
        """One F1; None without a generation."""
        return None if scored.generation is None else f1(words(scored.generation), words(scored.example.answer))
