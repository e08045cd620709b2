"""NGDiff: the two sides of the problem, each at unit length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.solution import KL_ROUNDING, Array, Solution, State, Status
from mollm_cli.core.types import Objective
from mollm_cli.solvers.cancelling import cancels, length
from mollm_cli.solvers.sides import NO_SIDES, Sides, sides
from mollm_cli.solvers.simplex import unit_sum


class NormalizedDifference:
    """d = g_r / |g_r| + g_f / |g_f|, g_f and g_r the sums of the live rows that read forget, and that do not.

    (The difference of NGDiff's title is between losses; the sign is in our forget objective.) With one row per side d
    is the bisector, as in MGDA and IMTL-G on unit rows, and g_f . d, g_r . d >= 0. With more rows the guarantee is for
    g_f and g_r, not for each row. Preferences count within a side, not between the two. Source: Bu et al., arXiv
    2410.22086, without its learning rate.
    """

    name = "normalized_difference"
    needs: frozenset[str] = frozenset({"gram"})
    carries: tuple[str, ...] = ()
    kl_budget = KL_ROUNDING

    def __init__(self) -> None:
        self.sides: Sides = NO_SIDES

    def bind(self, objectives: Sequence[Objective]) -> None:
        """Take the two sides. Raises ValueError where one is empty."""
        self.sides = sides(objectives, self.name)

    def solve(self, gram: Array, losses: Array, live: NDArray[np.bool_], state: State) -> Solution:
        """weights c_i / |g_side|; a side that rests, or whose rows cancel, is left out."""
        found = [row / length(gram, row) for row in self.sides.rows(live) if not cancels(gram, row)]
        if not found:
            return Solution(np.zeros(len(gram)), Status.RESTING)
        weights = np.add.reduce(found)
        simplex = unit_sum(weights * np.sqrt(np.maximum(np.diag(gram), 0.0)))
        if cancels(gram, weights):
            return Solution(weights, Status.STATIONARY, simplex)
        return Solution(weights, Status.SINGLE if len(found) == 1 else Status.CONVERGED, simplex)
