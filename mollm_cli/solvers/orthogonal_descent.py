"""Orthogonal steepest descent: forget as fast as the retain side, held still, allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.solution import KL_ROOM, Array, Solution, State, Status
from mollm_cli.core.types import Objective
from mollm_cli.solvers.cancelling import cancels, length
from mollm_cli.solvers.sides import NO_SIDES, Sides, sides

DEPENDENT = 1e-9
"""A singular value of the retain rows' cosines below this share of the largest: a row lies in the span of others."""


class OrthogonalDescent:
    """d = |g_f| u / |u|, u = g_f - (its projection on the span of the live retain rows): g_r . d = 0 for each of them.

    The objectives that read forget fall and the others stay, to first order. Where the forget side rests, nothing
    moves; where g_f lies in the span, there is no such direction (status ``stationary``). The |R| unknowns are found by
    least squares on the cosines. Preferences count among several forget rows only. Source: FedOSD (Pan et al., AAAI
    2025), its projection of the unlearning gradient against the remaining clients' gradients; our retain objectives
    stand in for the clients, and its second stage, recovery, is not part of it.
    """

    name = "orthogonal_descent"
    needs: frozenset[str] = frozenset({"gram"})
    carries: tuple[str, ...] = ()
    kl_budget = KL_ROOM

    def __init__(self) -> None:
        self.sides: Sides = NO_SIDES

    def bind(self, objectives: Sequence[Objective]) -> None:
        """Take the two sides. Raises ValueError where one is empty."""
        self.sides = sides(objectives, self.name)

    def solve(self, gram: Array, losses: Array, live: NDArray[np.bool_], state: State) -> Solution:
        """Weights of g_f less a, with G_RR a = G_Rf, rescaled to |g_f|."""
        norms = np.sqrt(np.maximum(np.diag(gram), 0.0))
        forget, _ = self.sides.rows(live)
        if cancels(gram, forget):
            return Solution(np.zeros(len(gram)), Status.RESTING)
        retain = np.flatnonzero(live & ~self.sides.forget & (norms > 0))
        if len(retain) == 0:
            return Solution(forget, Status.SINGLE)
        weights = forget.copy()
        unit = 1 / norms[retain]
        cosines = gram[np.ix_(retain, retain)] * np.outer(unit, unit)
        weights[retain] -= unit * np.linalg.lstsq(cosines, unit * (gram[retain] @ forget), rcond=DEPENDENT)[0]
        if cancels(gram, weights):
            return Solution(weights, Status.STATIONARY)
        return Solution(weights * (length(gram, forget) / length(gram, weights)), Status.CONVERGED)
