"""Membership inference against the oracle: are forget rows still told apart, or told apart too well?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.auc import SETS, auc, resampled_aucs
from mollm_cli.metrics.bootstrap import percentiles
from mollm_cli.metrics.mia import check_share, lowest_mean

if TYPE_CHECKING:
    from mollm_cli.metrics.bootstrap import Floats


@dataclass(frozen=True)
class PrivacyLeakage:
    """100 (A - A_oracle) / A_oracle in per cent, A = 1 - AUC of Min-K with share ``k``, forget against holdout rows.

    In [-100, inf). Negative: forget rows still look like members; 0: they look as they do to the oracle; positive: they
    stand out the other way (over-forgotten). None without an oracle, without rows of both sets, or if A_oracle is 0.
    For the interval, the same rows are drawn for both models. Raises ValueError unless k is in (0, 1].
    Source: MUSE (arXiv 2407.06460), Min-K with k = 0.4.
    """

    k: float = 0.4
    name: ClassVar[str] = "privacy_leakage"
    unit: ClassVar[str] = "%"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["toward_yardstick"]] = "toward_yardstick"
    needs: ClassVar[frozenset[str]] = frozenset({"oracle"})
    sets: ClassVar[tuple[str, ...]] = SETS
    required: ClassVar[frozenset[str]] = frozenset(SETS)

    def __post_init__(self) -> None:
        """Refuse a share outside (0, 1]."""
        check_share(self.name, self.k)

    def compute_across(
        self, scored: Mapping[str, Sequence[Scored]], oracle: Mapping[str, Sequence[Scored]] | None
    ) -> Result:
        """The leakage and its interval; details: the AUC of both models. No value per example."""
        if oracle is None or not all(scored.get(name) and oracle.get(name) for name in SETS):
            return Result(None)
        ours, theirs = self._scores(scored), self._scores(oracle)
        rows = (sum(map(len, ours)),) * 2  # Min-K is defined on every row
        details = {"auc": auc(*ours), "auc_oracle": auc(*theirs)}
        if details["auc_oracle"] == 1:
            return Result(None, details=details, rows=rows)
        value = 100 * ((1 - details["auc"]) / (1 - details["auc_oracle"]) - 1)
        few = min(map(len, ours)) < 2
        interval = None if few else percentiles(_resampled(ours, theirs))
        return Result(value, interval=interval, details=details, rows=rows)

    def _scores(self, scored: Mapping[str, Sequence[Scored]]) -> tuple[list[float], list[float]]:
        forget, holdout = ([lowest_mean(row.log_probs, self.k) for row in scored[name]] for name in SETS)
        return forget, holdout


def _resampled(ours: tuple[list[float], list[float]], theirs: tuple[list[float], list[float]]) -> Floats:
    """Per sample the leakage; NaN where A_oracle is 0."""
    import numpy as np

    left, right = 1 - resampled_aucs(*ours), 1 - resampled_aucs(*theirs)
    leakage: Floats = 100 * (np.divide(left, right, out=np.full(len(left), np.nan), where=right > 0) - 1)
    return leakage
