"""Probability of the right answer among all answers offered."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Scored
from mollm_cli.metrics.aggregate import MeanMetric


def choice_probability(scored: Scored) -> float | None:
    """p(answer) / (p(answer) + sum p(perturbed)), each p = exp(mean_t log p_t); None without perturbed answers."""
    if not scored.perturbed_log_probs:
        return None
    # Relative to the likeliest answer: the probabilities themselves may be too small for float64.
    highest = max(scored.answer_log_prob, *scored.perturbed_log_probs)
    answer = math.exp(scored.answer_log_prob - highest)
    return answer / (answer + math.fsum(math.exp(other - highest) for other in scored.perturbed_log_probs))


@dataclass(frozen=True)
class ChoiceProbability(MeanMetric):
    """mean over examples of p(answer) / (p(answer) + sum p(perturbed)), in [0, 1]; p = exp(mean_t log p_t).

    Chance is 1 / (1 + perturbed answers). Source: TOFU (arXiv 2401.06121), which calls it probability on real authors
    and world facts.
    """

    name: ClassVar[str] = "choice_probability"
    unit: ClassVar[str] = "probability"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["higher"]] = "higher"
    needs: ClassVar[frozenset[str]] = frozenset({"perturbed"})

    def value(self, scored: Scored) -> float | None:
        """One probability; None without perturbed answers."""
        return choice_probability(scored)
