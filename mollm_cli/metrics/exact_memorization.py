"""Share of the answer's tokens that the model would choose itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Scored
from mollm_cli.metrics.aggregate import MeanMetric


@dataclass(frozen=True)
class ExactMemorization(MeanMetric):
    """mean over examples of the share of answer tokens with argmax = label under teacher forcing, in [0, 1].

    Source: Tirumala et al. (arXiv 2205.10770); the form of OpenUnlearning (arXiv 2506.12618).
    """

    name: ClassVar[str] = "exact_memorization"
    unit: ClassVar[str] = "share of tokens"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["higher"]] = "higher"
    needs: ClassVar[frozenset[str]] = frozenset()

    def value(self, scored: Scored) -> float | None:
        """The share of one answer."""
        return sum(scored.correct) / len(scored.correct)
