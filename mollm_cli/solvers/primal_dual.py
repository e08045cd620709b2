"""The primal-dual method: a constraint weighs as much as it takes to hold it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.solution import Array, Solution, State, Status
from mollm_cli.core.types import Objective

STEPS = "primal_dual.steps"
MULTIPLIER = "multiplier.{name}"


class PrimalDual:
    """Fixed weights c_i, and a multiplier where an objective has a bound b_i: c_i <- max(0, c_i + eta (L_i - b_i)).

    step_size: eta, in multiplier per unit of the loss.
    warmup_steps: optimizer steps before the first ascent.

    The multiplier starts at the objective's weight, and ascends once per optimizer step with the losses of the step
    before. No Gram matrix is needed, so the engine pays one backward pass per role. Source: Entesari et al. (PDU),
    arXiv 2506.05314. Raises ValueError.
    """

    name = "primal_dual"
    needs: frozenset[str] = frozenset({"losses"})
    carries: tuple[str, ...] = ()
    kl_budget = 0.0

    def __init__(self, step_size: float = 5.0, warmup_steps: int = 62) -> None:
        if not step_size > 0:
            raise ValueError(f"solver.step_size must be > 0, found {step_size}")
        if warmup_steps < 0:
            raise ValueError(f"solver.warmup_steps must be >= 0, found {warmup_steps}")
        self.step_size, self.warmup_steps = step_size, warmup_steps
        self.objectives: tuple[Objective, ...] = ()

    def bind(self, objectives: Sequence[Objective]) -> None:
        """Take weights and bounds from the objectives. Raises ValueError where none has a bound."""
        if all(o.bound is None for o in objectives):
            raise ValueError(
                "solver primal_dual needs an objective with a bound, found none among "
                f"{', '.join(o.name for o in objectives)}; use loss=pdu loss.eps=NUMBER, or another solver"
            )
        self.objectives = tuple(objectives)

    def solve(self, gram: Array, losses: Array, live: NDArray[np.bool_], state: State) -> Solution:
        """losses [m] of the step before (nan at the first) and the multipliers in ``state`` -> weights [m]."""
        steps = int(state.get(STEPS, 0))
        kept: dict[str, float] = {STEPS: steps + 1}
        weights = np.zeros(len(self.objectives))
        for i, objective in enumerate(self.objectives):
            weights[i] = objective.weight
            if objective.bound is not None:
                key = MULTIPLIER.format(name=objective.name)
                multiplier = state.get(key, objective.weight)
                if steps > self.warmup_steps:
                    multiplier = max(0.0, multiplier + self.step_size * (float(losses[i]) - objective.bound))
                weights[i] = kept[key] = multiplier
        return Solution(np.where(live, weights, 0.0), Status.FIXED, state=kept)
