"""ROUGE-L recall of the generated text against the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Scored
from mollm_cli.core.words import words
from mollm_cli.metrics.aggregate import MeanMetric
from mollm_cli.metrics.rouge import recall


@dataclass(frozen=True)
class RougeL(MeanMetric):
    """mean over examples of LCS(generation, answer) / len(answer), in words, in [0, 1].

    LCS is the length of the longest common subsequence. Words are those of core/words.py: of English the runs of
    [a-z0-9] that the rouge-score package takes without stemming, of Chinese, Japanese, Thai and their like each
    character. An answer without a word ("?!") has no recall and is left out of the mean (rouge-score gives 0). Version
    1 knew [a-z0-9] alone. Source: Lin (2004); used on greedy generations by TOFU (arXiv 2401.06121).
    """

    name: ClassVar[str] = "rouge_l"
    unit: ClassVar[str] = "share of words"
    version: ClassVar[int] = 2
    better: ClassVar[Literal["higher"]] = "higher"
    needs: ClassVar[frozenset[str]] = frozenset({"generation"})

    def value(self, scored: Scored) -> float | None:
        """One recall; None without a generation."""
        return answer_recall(scored)


def answer_recall(scored: Scored) -> float | None:
    """LCS(generation, answer) / len(answer), in words; None without a generation or without a word in the answer."""
    return None if scored.generation is None else recall(words(scored.generation), words(scored.example.answer))
