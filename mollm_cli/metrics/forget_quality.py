"""Whether the forget set looks to the model as it looks to one that never saw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.truth_ratio import log_truth_ratio


@dataclass(frozen=True)
class ForgetQuality:
    """p-value of the two-sample Kolmogorov-Smirnov test of the raw truth ratios against the oracle's, in [0, 1].

    1: the two samples are alike. Both under- and over-forgetting give values near 0 (1e-200 is not unusual).
    None without an oracle, or without perturbed answers. The test reads log r: it depends on order alone.
    Source: TOFU (arXiv 2401.06121).
    """

    name: ClassVar[str] = "forget_quality"
    unit: ClassVar[str] = "p-value"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["higher"]] = "higher"
    needs: ClassVar[frozenset[str]] = frozenset({"perturbed", "oracle"})

    def compute(self, examples: Sequence[Scored], oracle: Sequence[Scored] | None) -> Result:
        """The p-value; there is no value per example (truth_ratio has the raw ratios)."""
        from scipy.stats import ks_2samp

        ours, theirs = _log_ratios(examples), _log_ratios(oracle or ())
        if not ours or not theirs:
            return Result(None)
        return Result(float(ks_2samp(ours, theirs).pvalue))


def _log_ratios(examples: Sequence[Scored]) -> list[float]:
    return [ratio for scored in examples if (ratio := log_truth_ratio(scored)) is not None]
