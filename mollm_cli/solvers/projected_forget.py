"""GRU: the forget gradient, less its part that opposes the averaged retain gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.solution import KL_ROUNDING, Array, Solution, State, Status
from mollm_cli.core.types import Objective
from mollm_cli.solvers.cancelling import cancels
from mollm_cli.solvers.sides import NO_SIDES, Sides, sides


class ProjectedForget:
    """d = g_f, or g_f - (g_f . a / |a|^2) a where g_f . a < 0; a = share g_r + (1 - share) a_before.

    share: that of the new gradient in the average, in (0, 1].

    g_f and g_r are the preferred sums of the live rows that read forget, and of those that do not. a, the average of
    g_r over steps, is a carried row, so one more gradient is kept. At the first step a = g_r; where no row of g_r is
    live, a stays. a . d >= 0 always: the retain side is never raised on average, nor is it descended on for its own
    sake. Where the forget side rests, nothing moves. Source: Wang et al. (GRU), arXiv 2503.09117, share 0.8. Rows reach
    us normalised (the authors' way is direction.normalise=none). Raises ValueError.
    """

    name = "projected_forget"
    needs: frozenset[str] = frozenset({"gram"})
    carries: tuple[str, ...] = ("retain_average",)
    kl_budget = KL_ROUNDING

    def __init__(self, share: float = 0.8) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"solver.share must be in (0, 1], found {share}")
        self.share = share
        self.sides: Sides = NO_SIDES

    def bind(self, objectives: Sequence[Objective]) -> None:
        """Take the two sides. Raises ValueError where one is empty."""
        self.sides = sides(objectives, self.name)

    def solve(self, gram: Array, losses: Array, live: NDArray[np.bool_], state: State) -> Solution:
        """gram [m+1, m+1], its last row the average that the step before left."""
        forget, retain = (np.append(row, 0.0) for row in self.sides.rows(live))
        average = self._average(gram, retain)
        carried = average[np.newaxis]
        if cancels(gram, forget):
            return Solution(np.zeros(len(gram)), Status.RESTING, carried=carried)
        along, square = float(forget @ gram @ average), float(average @ gram @ average)
        if square <= 0:
            return Solution(forget, Status.SINGLE, carried=carried)
        weights = forget - min(along, 0.0) / square * average
        status = Status.STATIONARY if cancels(gram, weights) else Status.CONVERGED
        return Solution(weights, status, carried=carried)

    def _average(self, gram: Array, retain: Array) -> Array:
        """The new average as a combination of the rows: g_r where there is none yet, the old one where g_r is zero."""
        before = np.zeros(len(gram))
        before[-1] = 1.0
        if gram[-1, -1] <= 0:
            return retain
        if not retain.any():
            return before
        return self.share * retain + (1 - self.share) * before
