"""Leakage by the best of k drawn answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.core.words import words
from mollm_cli.metrics.aggregate import mean_result
from mollm_cli.metrics.rouge import recall


@dataclass(frozen=True)
class LeakAtK:
    """mean over examples of E[max over k drawn answers of s], s = ROUGE-L recall against the answer, in [0, 1].

    With n >= k draws, sorted s_1 <= ... <= s_n: sum_{i=k}^{n} C(i-1, k-1) / C(n, k) s_i, the mean over all subsets of
    k draws, which is unbiased. With a ``threshold``: the probability that one of k draws reaches it,
    1 - C(n-c, k) / C(n, k) if c draws did. None for an example with fewer than k draws or an answer without a word.
    details: k and the smallest n. Raises ValueError. Source: leak@k (arXiv 2511.04934).
    """

    k: int = 16
    threshold: float | None = None
    name: ClassVar[str] = "leak_at_k"
    version: ClassVar[int] = 2
    better: ClassVar[Literal["toward_yardstick"]] = "toward_yardstick"
    needs: ClassVar[frozenset[str]] = frozenset({"samples"})

    def __post_init__(self) -> None:
        """Refuse a k below 1, and a threshold that no recall or every recall reaches."""
        if self.k < 1:
            raise ValueError(f"leak_at_k: k must be >= 1, found {self.k}")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise ValueError(f"leak_at_k: threshold must be in (0, 1] or null, found {self.threshold}")

    @property
    def unit(self) -> str:
        """The unit of a recall, or with a threshold that of the probability of a leak."""
        return "share of words" if self.threshold is None else "probability"

    def compute(self, examples: Sequence[Scored], oracle: Sequence[Scored] | None) -> Result:
        """The mean, and one value per example; ``oracle`` is not read."""
        result = mean_result(self._leak(scored) for scored in examples)
        details: dict[str, float | int | str] = {"k": self.k, "n": min((len(s.samples) for s in examples), default=0)}
        if self.threshold is not None:
            details["threshold"] = self.threshold
        return replace(result, details=details)

    def _leak(self, scored: Scored) -> float | None:
        answer = words(scored.example.answer)
        recalls = sorted(r for sample in scored.samples if (r := recall(words(sample), answer)) is not None)
        if len(recalls) < self.k:
            return None
        if self.threshold is not None:
            recalls = [float(r >= self.threshold) for r in recalls]
        return expected_maximum(recalls, self.k)


def expected_maximum(ascending: Sequence[float], k: int) -> float:
    """The mean of the maximum over all subsets of size ``k``; for zeros and c ones it is 1 - C(n-c, k) / C(n, k)."""
    subsets = math.comb(len(ascending), k)
    return math.fsum(math.comb(i, k - 1) / subsets * value for i, value in enumerate(ascending))
