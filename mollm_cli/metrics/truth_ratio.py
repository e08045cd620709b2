"""Preference of a true answer in other words over similar false ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.aggregate import finite_exp, mean_result


def log_truth_ratio(scored: Scored) -> float | None:
    """The logarithm of r: mean over perturbed answers of mean_t log p, minus mean_t log p of the paraphrased answer.

    The answer itself stands in for a missing paraphrase. None without perturbed answers.
    """
    perturbed = scored.perturbed_log_probs
    if not perturbed:
        return None
    true = scored.answer_log_prob if scored.paraphrase_log_prob is None else scored.paraphrase_log_prob
    return math.fsum(perturbed) / len(perturbed) - true


def retained_truth(scored: Scored) -> float | None:
    """max(0, 1 - r), in [0, 1]; None without perturbed answers."""
    log = log_truth_ratio(scored)
    # A positive log would be cut to 0 anyway; expm1 of a large one would overflow.
    return None if log is None else max(0.0, -math.expm1(min(log, 0.0)))


def forgotten_truth(scored: Scored) -> float | None:
    """min(r, 1/r), in [0, 1]; None without perturbed answers."""
    log = log_truth_ratio(scored)
    return None if log is None else math.exp(-abs(log))


@dataclass(frozen=True)
class TruthRatio:
    """r = exp(mean over perturbed answers of mean_t log p) / exp(mean_t log p of the paraphrased answer).

    side "forget": mean of min(r, 1/r), in [0, 1]; 1 if true and false answers are equally likely.
    side "retain": mean of max(0, 1 - r), in [0, 1], the form that enters model utility.
    The per-example values are the raw r for both sides, in (0, inf), cut at exp(700). Raises ValueError for another
    side.
    Source: TOFU (arXiv 2401.06121) and its code. The geometric mean over the perturbed answers is the code's; the
    paper's formula has the arithmetic mean. All are answers to the original question.
    """

    side: Literal["forget", "retain"] = "forget"
    name: ClassVar[str] = "truth_ratio"
    unit: ClassVar[str] = "ratio"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Refuse any other side."""
        if self.side not in ("forget", "retain"):
            raise ValueError(f"truth_ratio: side must be forget or retain, found '{self.side}'")

    @property
    def better(self) -> Literal["higher", "toward_yardstick"]:
        """Higher is better on the retain side; on the forget side the yardstick decides."""
        return "toward_yardstick" if self.side == "forget" else "higher"

    @property
    def needs(self) -> frozenset[str]:
        """Perturbed answers, on the sets of its side."""
        return frozenset({"perturbed", f"{self.side}_side"})

    def compute(self, examples: Sequence[Scored], oracle: Sequence[Scored] | None) -> Result:
        """The side's mean with its interval, and the raw r per example; ``oracle`` is not read."""
        logs = [log_truth_ratio(scored) for scored in examples]
        folded = mean_result(map(forgotten_truth if self.side == "forget" else retained_truth, examples))
        return replace(folded, per_example=tuple(None if log is None else finite_exp(log) for log in logs))
