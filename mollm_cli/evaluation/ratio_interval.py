"""The log of a ratio of probabilities with its bootstrap interval, held against two bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mollm_cli.metrics.aggregate import finite_exp

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESAMPLES = 1000
COVERAGE = 0.90
SEED = 0
FEWEST = 5
"""Four rows that all moved one way do so by chance one time in sixteen, so they show nothing at the 5 % of one side."""
FLOOR = 1e-300
"""A probability of 0 counts as this, so that its log is a number."""
MOST = 1_000_000
"""A value that needed more rows than this lies on its bound, and no number of rows would do."""

Place = Literal["below", "within", "above"]


@dataclass(frozen=True, slots=True)
class LogRatio:
    """A log-ratio of probabilities.

    value, low, high: in nats; low and high are the ends of the 90 % percentile bootstrap interval over rows.
    rows: the number of rows that it was made of.
    whole: whether these are all the rows that there are.
    """

    value: float
    low: float
    high: float
    rows: int
    whole: bool = True

    def place(self, low: float, high: float) -> Place | None:
        """The side of the bounds that the whole interval lies on; None where it lies on both sides of one.

        within: an equivalence test (Schuirmann 1987): few or scattered rows cannot pass for a match, as they do if
        p > .05 of a difference test is taken for one. It is said of all rows or not at all.
        """
        if self.rows < FEWEST:
            return None
        if self.high < low:
            return "below"
        if self.low > high:
            return "above"
        return "within" if low <= self.low and self.high <= high and self.whole else None

    def rows_needed(self, low: float, high: float) -> int | None:
        """The rows that would do, were the value to stay: half the interval shrinks with the root of their number.

        None where no number would: the value lies on a bound.
        """
        least = FEWEST
        for bound in (low, high):
            if not self.low <= bound <= self.high:
                continue
            distance = abs(bound - self.value)
            half = self.high - self.value if self.value < bound else self.value - self.low
            if distance == 0 or self.rows * (half / distance) ** 2 > MOST:
                return None
            least = max(least, math.ceil(self.rows * (half / distance) ** 2))
        return least

    def told(self, low: float, high: float) -> dict[str, Any]:
        """For metrics.json: ratio, its interval, the bounds, rows, and where they are too few how many would do."""
        decided = self.place(low, high) is not None
        return {
            "ratio": finite_exp(self.value),
            "interval": [finite_exp(self.low), finite_exp(self.high)],
            "bounds": [math.exp(low), math.exp(high)],
            "rows": self.rows,
            "rows_needed": None if decided else self.rows_needed(low, high),
        }


def of_mean(probabilities: Sequence[float | None], target: float | None) -> LogRatio | None:
    """log(mean probability / target); rows without a value are left out. None without a target or a value."""
    values = [value for value in probabilities if value is not None]
    if target is None or not values:
        return None
    return _found(values, [target] * len(values), len(values) == len(probabilities))


def of_means(before: Sequence[float], after: Sequence[float]) -> LogRatio | None:
    """log(mean after / mean before), rows drawn in pairs; None without rows."""
    return _found(after, before, True) if before else None


def paired(before: Sequence[float], after: Sequence[float]) -> LogRatio | None:
    """The mean over rows of log after - log before, of log-probabilities; None without rows."""
    import numpy as np

    if not before:
        return None
    return mean_of(np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64))


def mean_of(values: Sequence[float] | Floats) -> LogRatio:
    """The mean of ``values``, one a row and at least one; ends and bounds are in their unit."""
    import numpy as np

    found = np.asarray(values, dtype=np.float64)
    return _interval(float(found.mean()), found[_draws(len(found))].mean(axis=1), len(found), True)


def _found(above: Sequence[float], below: Sequence[float], whole: bool) -> LogRatio:
    import numpy as np

    top, bottom = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    draws = _draws(len(top))
    logs = _log(top[draws].mean(axis=1)) - _log(bottom[draws].mean(axis=1))
    return _interval(float(_log(top.mean()) - _log(bottom.mean())), logs, len(top), whole)


def _draws(rows: int) -> NDArray[np.int64]:
    import numpy as np

    return np.random.default_rng(SEED).integers(rows, size=(RESAMPLES, rows))


def _log(values: Floats) -> Floats:
    import numpy as np

    logs: Floats = np.log(np.maximum(values, FLOOR))
    return logs


def _interval(value: float, resampled: Floats, rows: int, whole: bool) -> LogRatio:
    import numpy as np

    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return LogRatio(value, float(low), float(high), rows, whole)
