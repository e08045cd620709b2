"""The direction of joint descent that is closest to the sum of unit gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.nonnegative import smallest_correction
from mollm_cli.core.solution import KL_ROUNDING, Array, Solution, State, Status
from mollm_cli.core.types import Objective
from mollm_cli.solvers.cancelling import cancels
from mollm_cli.solvers.simplex import unit_sum


class ClosestDescent:
    """d = argmin |d - t| over g_i . d >= 0 for every live i, with t = sum_i c_i g_i / |g_i|, c_i the preference.

    Where t descends on every live objective, d is t, as in normalized_sum. Elsewhere t is projected onto the cone of
    joint descent: d = t + sum_i l_i g_i with l >= 0, found exactly on the Gram matrix (core/nonnegative.py). So a
    preference for the retain side holds as long as nobody rises, and common descent holds always, to first order.
    DualProj (Lopez-Paz and Ranzato, arXiv 1706.08840) projects the plain sum of raw rows in the same way.
    """

    name = "closest_descent"
    needs: frozenset[str] = frozenset({"gram"})
    carries: tuple[str, ...] = ()
    kl_budget = KL_ROUNDING

    def __init__(self) -> None:
        self.preference: Array = np.ones(0)

    def bind(self, objectives: Sequence[Objective]) -> None:
        """Take the preferences from the objectives."""
        self.preference = np.array([o.weight for o in objectives])

    def solve(self, gram: Array, losses: Array, live: NDArray[np.bool_], state: State) -> Solution:
        """weights c_i / |g_i| + l_i on live rows of positive length; the simplex is weights |g_i| over their sum."""
        norms = np.sqrt(np.maximum(np.diag(gram), 0.0))
        used = live & (norms > 0)
        weights = np.zeros(len(norms))
        if not used.any():
            return Solution(weights, Status.RESTING)
        unit = gram[np.ix_(used, used)] / norms[used][:, None] / norms[used]
        wanted = self.preference[used]
        found = wanted + smallest_correction(unit, -(unit @ wanted))
        weights[used] = found / norms[used]
        simplex = np.zeros(len(norms))
        simplex[used] = found
        if cancels(gram, weights):
            return Solution(weights, Status.STATIONARY, unit_sum(simplex))
        return Solution(weights, Status.SINGLE if used.sum() == 1 else Status.CONVERGED, unit_sum(simplex))
