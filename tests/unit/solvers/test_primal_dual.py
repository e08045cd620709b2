"""The primal-dual method on its own: weights and multipliers from losses and state."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mollm_cli.core.solution import Status
from mollm_cli.core.types import Objective
from mollm_cli.solvers.primal_dual import PrimalDual

NONE = np.zeros((0, 0))


def row(name: str, weight: float, bound: float | None = None) -> Objective:
    return Objective(name, ("retain",), lambda o: (o, 1), weight=weight, bound=bound)


def walk(solver: PrimalDual, losses: list[list[float]]) -> tuple[list[list[float]], dict[str, float]]:
    """The weights of each step, the first of which has no losses before it."""
    state: dict[str, float] = {}
    weights = []
    before = [math.nan] * len(losses[0])
    for now in losses:
        answer = solver.solve(NONE, np.array(before), np.ones(len(now), dtype=bool), state)
        state |= dict(answer.state)
        weights.append(answer.weights.tolist())
        before = now
    assert answer.status is Status.FIXED
    return weights, state


def bound(step_size: float, warmup_steps: int, *rows: Objective) -> PrimalDual:
    solver = PrimalDual(step_size, warmup_steps)
    solver.bind(rows)
    return solver


def test_by_hand() -> None:
    # bound 1, eta 2: 3, then 3 + 2 (1.5 - 1) = 4, then 4 + 2 (0.25 - 1) = 2.5, then max(0, 2.5 + 2 (-1 - 1)) = 0
    solver = bound(2.0, 0, row("free", 0.5), row("held", 3.0, 1.0))
    weights, _ = walk(solver, [[9.0, 1.5], [9.0, 0.25], [9.0, -1.0], [9.0, 0.0]])
    assert weights == [[0.5, 3.0], [0.5, 4.0], [0.5, 2.5], [0.5, 0.0]]


def test_a_multiplier_of_zero_rises_again() -> None:
    weights, _ = walk(bound(1.0, 0, row("held", 1.0, 2.0)), [[0.0], [5.0], [0.0]])
    assert [w for (w,) in weights] == [1.0, 0.0, 3.0]


@pytest.mark.parametrize("warmup", [0, 1, 3])
def test_the_warm_up_counts_steps(warmup: int) -> None:
    weights, _ = walk(bound(1.0, warmup, row("held", 1.0, 0.5)), [[1.5]] * 6)
    assert [w for (w,) in weights] == [1.0] * (warmup + 1) + [2.0 + k for k in range(5 - warmup)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 10), min_size=2, max_size=12), st.floats(0.1, 5), st.floats(0.1, 5))
def test_multipliers_are_never_negative_and_follow_the_violation(found: list[float], step: float, limit: float) -> None:
    weights, _ = walk(bound(step, 0, row("held", 1.0, limit)), [[value] for value in found])
    values = [w for (w,) in weights]
    assert min(values) >= 0
    for k in range(1, len(values)):
        assert (values[k] > values[k - 1]) <= (found[k - 1] > limit)
        assert (values[k] < values[k - 1]) <= (found[k - 1] < limit)


def test_a_walk_cut_in_two_is_the_walk() -> None:
    solver = bound(0.5, 1, row("free", 1.0), row("held", 1.0, 0.3))
    losses = [[1.0, value] for value in (0.9, 0.8, 0.2, 0.7, 0.4)]
    whole, _ = walk(solver, losses)
    _, state = walk(solver, losses[:3])
    answer = solver.solve(NONE, np.array(losses[2]), np.ones(2, dtype=bool), state)
    assert answer.weights.tolist() == whole[3]


def test_each_constraint_has_its_own_multiplier() -> None:
    solver = bound(1.0, 0, row("a", 1.0, 1.0), row("b", 2.0, 1.0))
    assert walk(solver, [[2.0, 1.5], [0.0, 0.0]])[0][1] == [2.0, 2.5]


def test_a_resting_objective_weighs_nothing_and_keeps_its_multiplier() -> None:
    solver = bound(1.0, 0, row("free", 0.5), row("held", 2.0, 1.0))
    answer = solver.solve(NONE, np.array([1.0, 1.5]), np.array([True, False]), {"primal_dual.steps": 1})
    assert answer.weights.tolist() == [0.5, 0.0]
    assert 2.5 in answer.state.values()


def test_it_asks_for_losses_and_nothing_else() -> None:
    assert PrimalDual.needs == frozenset({"losses"})


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"solver.step_size must be > 0, found 0"):
        PrimalDual(step_size=0.0)
    with pytest.raises(ValueError, match=r"solver.warmup_steps must be >= 0, found -1"):
        PrimalDual(warmup_steps=-1)
    with pytest.raises(ValueError, match=r"needs an objective with a bound, found none among a, b; use loss=pdu"):
        PrimalDual().bind([row("a", 1.0), row("b", 1.0)])
