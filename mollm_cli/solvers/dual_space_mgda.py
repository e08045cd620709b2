"""DS-MGDA: the common descent direction of MOLLM, found in the space of the weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.solution import KL_ROOM, Array, Solution, State, Status
from mollm_cli.core.types import Objective
from mollm_cli.solvers.simplex import TOLERANCE, min_norm_point, optimality_gap, unit_sum

STATIONARY = 1e-6
"""Below this share of the mean row norm, |d| says that the rows cancel: their common descent direction is rounding."""


class DualSpaceMGDA:
    """min_w |sum_i w_i g_i / c_i|^2 / 2 over the simplex; d = sum_i w_i g_i / c_i; then g_i . d >= c_i |d|^2.

    c_i is the objective's preference, its part in the common decrease. Only the Gram matrix [m, m] is needed, so the
    problem has m unknowns, not n (the "dual space"). Source: FedLF eq. 3, 7-8 and FedMDFG's appendix (Pan et al.), in
    our signs: d is subtracted. Preferences are ours.
    """

    name = "dual_space_mgda"
    needs: frozenset[str] = frozenset({"gram"})
    carries: tuple[str, ...] = ()
    kl_budget = KL_ROOM
    holds = True

    def __init__(self) -> None:
        self.preference: Array = np.ones(0)

    def bind(self, objectives: Sequence[Objective]) -> None:
        """Take the preferences from the objectives. Raises ValueError where one is 0: its row would rule alone."""
        for objective in objectives:
            if objective.weight <= 0:
                raise ValueError(
                    f"solver dual_space_mgda needs a preference > 0 for every objective, found {objective.weight} for "
                    f"'{objective.name}'; leave the objective out of the loss, or use solver=normalized_sum"
                )
        self.preference = np.array([o.weight for o in objectives])

    def solve(self, gram: Array, losses: Array, live: NDArray[np.bool_], state: State) -> Solution:
        """The min-norm point over live rows; status says whether its optimality conditions hold."""
        weights = np.zeros(len(gram))
        rows = np.flatnonzero(live)
        if len(rows) == 0:
            return Solution(weights, Status.RESTING)
        scale = 1 / self.preference[rows]
        hull = gram[np.ix_(rows, rows)] * np.outer(scale, scale)
        simplex = weights.copy()
        simplex[rows] = min_norm_point(hull)
        weights[rows] = simplex[rows] * scale
        return Solution(weights, _status(hull, simplex[rows]), unit_sum(simplex))


def _status(hull: Array, simplex: Array) -> Status:
    mean_norm = np.sqrt(np.maximum(np.diag(hull), 0.0)).mean()
    if np.sqrt(max(float(simplex @ hull @ simplex), 0.0)) <= STATIONARY * mean_norm:
        return Status.STATIONARY
    if optimality_gap(hull, simplex) > TOLERANCE:
        return Status.DEGENERATE
    return Status.SINGLE if len(simplex) == 1 else Status.CONVERGED
