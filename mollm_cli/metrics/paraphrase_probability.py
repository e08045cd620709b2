"""Probability of the paraphrased answer, normalised by its length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Scored
from mollm_cli.metrics.aggregate import MeanMetric


@dataclass(frozen=True)
class ParaphraseProbability(MeanMetric):
    """mean over examples of exp(mean_t log p_t) of the paraphrased answer to the original question, in [0, 1].

    It shows knowledge beyond the wording that was trained on. Paraphrases are scored together with perturbed answers,
    so a row with a paraphrase and no perturbed answer has no value.
    Source: OpenUnlearning (arXiv 2506.12618).
    """

    name: ClassVar[str] = "paraphrase_probability"
    unit: ClassVar[str] = "probability"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["higher"]] = "higher"
    needs: ClassVar[frozenset[str]] = frozenset({"perturbed"})

    def value(self, scored: Scored) -> float | None:
        """One probability; None without a paraphrase."""
        return None if scored.paraphrase_log_prob is None else math.exp(scored.paraphrase_log_prob)
