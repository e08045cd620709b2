"""The fixed weighted sum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.solution import Array, Solution, State, Status
from mollm_cli.core.types import Objective


class WeightedSum:
    """d = sum_i c_i g_i, c_i the objective's weight. Needs nothing: the engine pays one backward pass per role."""

    name = "weighted_sum"
    needs: frozenset[str] = frozenset()
    carries: tuple[str, ...] = ()
    kl_budget = 0.0

    def __init__(self) -> None:
        self.preference: Array = np.ones(0)

    def bind(self, objectives: Sequence[Objective]) -> None:
        """Fixed weights from the objectives."""
        self.preference = np.array([o.weight for o in objectives])

    def solve(self, gram: Array, losses: Array, live: NDArray[np.bool_], state: State) -> Solution:
        """The weights as they are, on live rows."""
        return Solution(np.where(live, self.preference, 0.0), Status.FIXED)
