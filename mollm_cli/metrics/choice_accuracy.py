"""Share of rows whose right answer is likelier than the wrong ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Scored
from mollm_cli.metrics.aggregate import MeanMetric


@dataclass(frozen=True)
class ChoiceAccuracy(MeanMetric):
    """Share of examples whose answer has the highest mean_t log p_t among it and the perturbed answers, in [0, 1].

    If k answers share the highest value, the example counts 1/k, so a model without an opinion scores at chance.
    Source: the multiple choice of WMDP (arXiv 2403.03218), whose harness compares the letters of the choices; here the
    texts of the choices are compared, normalised by their length in tokens.
    """

    name: ClassVar[str] = "choice_accuracy"
    unit: ClassVar[str] = "share of rows"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["higher"]] = "higher"
    needs: ClassVar[frozenset[str]] = frozenset({"perturbed"})

    def value(self, scored: Scored) -> float | None:
        """0, 1 or 1/k; None without perturbed answers."""
        if not scored.perturbed_log_probs:
            return None
        choices = (scored.answer_log_prob, *scored.perturbed_log_probs)
        highest = max(choices)
        return 1 / choices.count(highest) if scored.answer_log_prob == highest else 0.0
