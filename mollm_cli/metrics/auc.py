"""The area under the ROC curve: how well one score tells two samples of rows apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mollm_cli.core.types import Result
from mollm_cli.metrics.bootstrap import cumulative, draws, percentiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mollm_cli.metrics.bootstrap import Counts, Floats

SETS = ("forget", "holdout")
"""The set of members, and the set of rows of the same kind that the starting model never saw."""


def auc(members: Sequence[float], others: Sequence[float]) -> float:
    """P(a member's score > another's) + P(they are equal) / 2, in [0, 1]. Both samples must have rows."""
    import numpy as np

    ones = [np.ones((1, len(scores)), dtype=np.uint8) for scores in (members, others)]
    return float(_weighted(members, others, ones[0], ones[1])[0])


def resampled_aucs(members: Sequence[float], others: Sequence[float]) -> Floats:
    """The AUC of every bootstrap sample, with members and others drawn independently: [RESAMPLES]."""
    import numpy as np

    blocks = zip(draws(len(members), stream=0), draws(len(others), stream=1), strict=True)
    return np.concatenate([_weighted(members, others, of_members, of_others) for of_members, of_others in blocks])


def _weighted(members: Sequence[float], others: Sequence[float], of_members: Counts, of_others: Counts) -> Floats:
    """The AUC when each row counts as often as it was drawn: [b, members], [b, others] -> [b]."""
    import numpy as np

    # The others are sorted once; their cumulative counts then say, for all samples, how many lie below each member.
    left, order = np.asarray(members, dtype=np.float64), np.argsort(others, kind="stable")
    right: NDArray[np.float64] = np.asarray(others, dtype=np.float64)[order]
    up_to = cumulative(of_others, order)
    below_twice = up_to[:, np.searchsorted(right, left, "left")] + up_to[:, np.searchsorted(right, left, "right")]
    pairs: NDArray[np.int64] = (of_members * below_twice).sum(axis=1)
    areas: Floats = pairs / (2.0 * len(left) * len(right))
    return areas


def separation(forget: Sequence[float | None], holdout: Sequence[float | None]) -> Result:
    """The AUC of forget scores against holdout scores with its interval; per example the forget scores.

    Rows without a score (None) are left out. The result is None if a side has no score, and has no interval if a side
    has only one.
    """
    members, others = known(forget), known(holdout)
    rows = len(members) + len(others), len(forget) + len(holdout)
    if not members or not others:
        return Result(None, tuple(forget), rows=rows)
    interval = percentiles(resampled_aucs(members, others)) if min(len(members), len(others)) > 1 else None
    return Result(auc(members, others), tuple(forget), interval, rows=rows)


def known(scores: Sequence[float | None]) -> list[float]:
    """The scores that are not None."""
    return [score for score in scores if score is not None]
