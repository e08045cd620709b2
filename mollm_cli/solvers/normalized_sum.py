"""The sum of unit gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.solution import KL_ROUNDING, Array, Solution, State, Status
from mollm_cli.core.types import Objective
from mollm_cli.solvers.cancelling import cancels
from mollm_cli.solvers.simplex import unit_sum


class NormalizedSum:
    """d = sum_i c_i g_i / |g_i| over live rows, c_i the objective's preference. Needs the Gram matrix's diagonal.

    Two objectives with c = 1 give the bisector, as do MGDA on unit rows and NGDiff (arXiv 2410.22086). With three rows
    or more there is no guarantee that every objective descends; measured, it keeps more than min-norm (docs).
    """

    name = "normalized_sum"
    needs: frozenset[str] = frozenset({"gram"})
    carries: tuple[str, ...] = ()
    kl_budget = KL_ROUNDING

    def __init__(self) -> None:
        self.preference: Array = np.ones(0)

    def bind(self, objectives: Sequence[Objective]) -> None:
        """Take the preferences from the objectives."""
        self.preference = np.array([o.weight for o in objectives])

    def solve(self, gram: Array, losses: Array, live: NDArray[np.bool_], state: State) -> Solution:
        """weights c_i / sqrt(G_ii) on live rows of positive length; their simplex is c_i / sum c."""
        norms = np.sqrt(np.maximum(np.diag(gram), 0.0))
        used = live & (norms > 0)
        if not used.any():
            return Solution(np.zeros(len(norms)), Status.RESTING)
        weights = np.where(used, self.preference / np.where(used, norms, 1.0), 0.0)
        simplex = unit_sum(np.where(used, self.preference, 0.0))
        if cancels(gram, weights):
            return Solution(weights, Status.STATIONARY, simplex)
        return Solution(weights, Status.SINGLE if used.sum() == 1 else Status.CONVERGED, simplex)
