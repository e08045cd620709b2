"""ROUGE-L recall of what the model says against the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.aggregate import mean_result


@dataclass(frozen=True)
class RougeL:
    """mean over examples of LCS(generation, answer) / len(answer), in words, in [0, 1].

    LCS: length of the longest common subsequence. Words are runs of [a-z0-9] in the lower-cased text, as in the
    rouge-score package without stemming. An answer without such a word has no recall: None, and left out of the mean
    (rouge-score gives 0). Source: Lin (2004); used on greedy generations by TOFU (arXiv 2401.06121).
    """

    name: ClassVar[str] = "rouge_l"
    unit: ClassVar[str] = "share of words"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["higher"]] = "higher"
    needs: ClassVar[frozenset[str]] = frozenset({"generation"})

    def compute(self, examples: Sequence[Scored], oracle: Sequence[Scored] | None) -> Result:
        """The mean, and one recall per example (None without a generation); ``oracle`` is not read."""
        return mean_result(_recall(scored) for scored in examples)


def _words(text: str) -> list[str]:
    return re.findall("[a-z0-9]+", text.lower())


def _recall(scored: Scored) -> float | None:
    from rapidfuzz.distance import LCSseq

    answer = _words(scored.example.answer)
    if scored.generation is None or not answer:
        return None
    return float(LCSseq.similarity(_words(scored.generation), answer)) / len(answer)
