"""Probability of the answer, normalised by its length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Scored
from mollm_cli.metrics.aggregate import MeanMetric


def answer_probability(scored: Scored) -> float:
    """exp(mean_t log p_t) of the answer, in [0, 1]."""
    return math.exp(scored.answer_log_prob)


@dataclass(frozen=True)
class Probability(MeanMetric):
    """mean over examples of exp(mean_t log p_t), in [0, 1]: the geometric mean of the answer's token probabilities.

    Source: TOFU (arXiv 2401.06121).
    """

    name: ClassVar[str] = "probability"
    unit: ClassVar[str] = "probability"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["higher"]] = "higher"
    needs: ClassVar[frozenset[str]] = frozenset()

    def value(self, scored: Scored) -> float | None:
        """One probability."""
        return answer_probability(scored)
