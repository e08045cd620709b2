"""Similarity of the model to the oracle on the forget set, as a statistical test."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.bootstrap import cumulative, draws, percentiles
from mollm_cli.metrics.truth_ratio import log_truth_ratio

POWERFUL_ROWS = 100
"""With fewer rows the test seldom tells even clearly different samples apart."""


@dataclass(frozen=True)
class ForgetQuality:
    """p-value of the two-sample Kolmogorov-Smirnov test of the raw truth ratios against the oracle's, in [0, 1].

    1: the two samples are alike. Both under- and over-forgetting give values near 0 (1e-200 is not unusual).
    None without an oracle or without perturbed answers. The test is computed on log r, because it depends on order
    alone.
    details: D, the largest distance between the two distribution functions, in [0, 1], with its interval D_low, D_high;
    n, the number of rows; power, "no power" below 100 rows, where a high p-value says nothing. A p-value has no
    interval: it estimates nothing and falls with every row that is added. D is the quantity that is tested.
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
        rows = min(len(ours), len(theirs)), len(examples)
        if not ours or not theirs:
            return Result(None, rows=rows)
        with warnings.catch_warnings():
            # scipy warns when it cannot compute the exact p-value and falls back on the limit's.
            warnings.simplefilter("ignore", RuntimeWarning)
            test = ks_2samp(ours, theirs)
        details: dict[str, float | int | str] = {"D": float(test.statistic), "n": len(ours)}
        details["power"] = "no power" if len(ours) < POWERFUL_ROWS else "ok"
        if interval := _distance_interval(ours, theirs):
            details["D_low"], details["D_high"] = interval
        return Result(float(test.pvalue), details=details, rows=rows)


def _distance_interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float] | None:
    """The interval of D, the same rows drawn for both models; None for one row, or if the rows differ."""
    import numpy as np

    if len(ours) != len(theirs) or len(ours) < 2:
        return None
    # The two distribution functions change only at the values: they are read off cumulative counts in sorted order.
    places = np.union1d(ours, theirs)
    orders = [np.argsort(sample, kind="stable") for sample in (ours, theirs)]
    ranks = [np.searchsorted(np.sort(sample), places, "right") for sample in (ours, theirs)]
    distances = []
    for block in draws(len(ours)):
        left, right = (cumulative(block, order)[:, rank] for order, rank in zip(orders, ranks, strict=True))
        distances.append(np.abs(left - right).max(axis=1) / len(ours))
    return percentiles(np.concatenate(distances))


def _log_ratios(examples: Sequence[Scored]) -> list[float]:
    return [ratio for scored in examples if (ratio := log_truth_ratio(scored)) is not None]
