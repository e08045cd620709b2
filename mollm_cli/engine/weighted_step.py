"""Steps whose weights are known before the batch is seen: one backward pass per role, of the weighted sum."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.solution import Array, Status
from mollm_cli.engine.batch_losses import BatchLosses, RoleGroup, role_groups, send_back
from mollm_cli.engine.refresh import age_weights
from mollm_cli.engine.result import StepResult
from mollm_cli.engine.step_state import StepState, nobody


def fixed_step(state: StepState, losses: BatchLosses) -> StepResult:
    """The step of a solver that reads no gradient."""
    kept = [f"loss.{name}" for name in state.names]
    # A solver that reads losses gets those of the step before, so that one forward pass per role is enough.
    before = np.array([state.remembered.get(key, np.nan) for key in kept])
    answer = state.solver.solve(np.zeros((0, 0)), before, np.ones(len(kept), dtype=bool), state.remembered)
    result = _take(state, losses, answer.weights, Status.FIXED, nobody)
    state.remembered.update(answer.state)
    if "losses" in state.solver.needs:
        state.remembered.update(zip(kept, result.losses.tolist(), strict=True))
    return result


def reused_step(state: StepState, losses: BatchLosses, weights: Array) -> StepResult:
    """The step with the weights of an earlier one, less those of objectives that rest by now.

    No objective has a gradient of its own here, so there is nothing to hold the step against.
    """
    result = _take(state, losses, weights, Status.REUSED, state.resting)
    age_weights(state.remembered)
    return result


def _take(
    state: StepState,
    losses: BatchLosses,
    weights: Array,
    status: Status,
    resting: Callable[[BatchLosses, RoleGroup], NDArray[np.bool_]],
) -> StepResult:
    used = weights.copy()
    for group in role_groups(state.loss.objectives):
        for values in losses.of(group):
            # Known in time only where the role's batch came in one piece; else the kept weight stands.
            used[resting(losses, group)] = 0.0
            send_back(values, used)
    # Read after the last backward pass: reading waits for the device, which has work until then.
    totals, probability = losses.totals()
    state.trained.settle()
    norm = state.clipping.clip(totals)
    state.paced(totals)
    state.optimizer.step()
    return StepResult(totals, used, norm, probability, losses.tokens, status)
