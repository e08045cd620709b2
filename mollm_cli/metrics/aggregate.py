"""What the metrics share: a mean over the examples that have a value, and an exponential that stays finite."""

from __future__ import annotations

import math
from collections.abc import Iterable

from mollm_cli.core.types import Result

LARGEST_EXPONENT = 700.0
"""exp(700) = 1.0e304 is the last round power that a float64, and so JSON, holds."""


def finite_exp(exponent: float) -> float:
    """exp(exponent), at most exp(700): a ruined model's perplexity stays a number that JSON can hold."""
    return math.exp(min(exponent, LARGEST_EXPONENT))


def mean_result(values: Iterable[float | None]) -> Result:
    """The mean of the values that are not None (None where there are none), and all values as they came."""
    per_example = tuple(values)
    defined = [value for value in per_example if value is not None]
    return Result(math.fsum(defined) / len(defined) if defined else None, per_example)
