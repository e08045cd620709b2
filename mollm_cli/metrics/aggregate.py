"""Shared by the metrics: the mean over the examples that have a value, and an exponential that stays finite."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.bootstrap import mean_interval

LARGEST_EXPONENT = 700.0
"""exp(700) = 1.0e304: the last round power that a float64 can hold, and so JSON."""


def finite_exp(exponent: float) -> float:
    """exp(exponent), at most exp(700), so that even a ruined model has a perplexity that JSON can hold."""
    return math.exp(min(exponent, LARGEST_EXPONENT))


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of the values that are not None; None where there are none."""
    defined = [value for value in values if value is not None]
    return math.fsum(defined) / len(defined) if defined else None


def mean_result(values: Iterable[float | None]) -> Result:
    """The mean of the values that are not None with its interval; ``per_example`` holds all values as they came."""
    per_example = tuple(values)
    return Result(mean(per_example), per_example, mean_interval([v for v in per_example if v is not None]))


class MeanMetric(ABC):
    """A metric that is the mean of one value per example."""

    @abstractmethod
    def value(self, scored: Scored) -> float | None:
        """The value of one example; None leaves it out of the mean."""

    def compute(self, examples: Sequence[Scored], oracle: Sequence[Scored] | None) -> Result:
        """The mean of ``value`` with its interval, and the values per example; ``oracle`` is not read."""
        return mean_result(map(self.value, examples))
