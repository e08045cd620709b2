"""What every solver that reads the Gram matrix promises, on matrices of every unpleasant kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mollm_cli.core.solution import Status
from tests.support.grams import KINDS, along, gradients, indefinite, solved
from tests.support.solvers import SIDED, SOLVERS

NAMES = [name for name, make in SOLVERS.items() if "gram" in make().needs]
RANDOM = {"pcgrad", "gradvac"}
"""They draw the order of rows: not to be compared from call to call where there are more than two."""


def padded(solver, gram):
    """``gram`` with a zero row for each row that the solver carries, as before the first step."""
    k = len(solver.carries)
    return np.pad(gram, (0, k))


def answer(name, gram, **kwargs):
    solver = SOLVERS[name]()
    given = kwargs.pop("forget", 1 if name in SIDED else 0)
    return solved(solver, padded(solver, gram), forget=given, **kwargs)


@pytest.mark.parametrize("kind", [*KINDS, "indefinite"])
@pytest.mark.parametrize("name", NAMES)
def test_weights_are_finite_and_zero_off_the_live_rows(name, kind):
    rng = np.random.default_rng(1)
    for m in (1, 2, 3) if name == "fairgrad" else (1, 2, 3, 5, 8):  # it searches for long where there is no answer
        if m == 1 and name in SIDED:
            continue
        for exponent in (-15, 0, 15):
            g = gradients(int(rng.integers(10**6)), m, "coplanar" if kind == "indefinite" else kind)
            gram = g @ g.T * 10.0**exponent
            gram = indefinite(gram) if kind == "indefinite" else gram
            live = [bool(x) for x in rng.integers(0, 4, size=m)]
            found = answer(name, gram, live=live)
            assert np.isfinite(found.weights).all()
            assert (found.weights[:m][~np.array(live)] == 0).all()
            assert found.status in set(Status) - {Status.FIXED, Status.ASCENDS}
            if not any(live):
                assert (found.status, found.weights.any()) == (Status.RESTING, False)
            if found.simplex is not None and found.simplex.any():
                assert found.simplex[:m].sum() == pytest.approx(1) and (found.simplex >= 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_common_scale_changes_no_direction(name):
    for seed in range(5):
        g = gradients(seed, 2, "random")
        gram = g @ g.T
        direction = along(g, answer(name, gram).weights[:2])
        for scale in (1e-15, 64.0, 1e15):
            assert along(g, answer(name, gram * scale).weights[:2]) == pytest.approx(direction, abs=1e-6)


@pytest.mark.parametrize("name", sorted(set(NAMES) - RANDOM))
def test_the_order_of_rows_changes_no_direction(name):
    for seed in range(5):
        g = gradients(seed, 5, "random")
        g[1:] *= np.sign(g[1:] @ g[0])[:, None]  # nothing rests, nothing cancels
        fixed = 1 if name in SIDED else 0  # the first row is the one that forgets
        order = np.concatenate([np.arange(fixed), fixed + np.random.default_rng(seed).permutation(5 - fixed)])
        g_permuted = g[order]
        one = along(g, answer(name, g @ g.T).weights[:5])
        other = along(g_permuted, answer(name, g_permuted @ g_permuted.T).weights[:5])
        assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"aligned_mtl"}))
def test_two_unit_objectives_never_ascend(name):
    """aligned_mtl promises components of one length instead."""
    torch.manual_seed(0)
    for seed in range(30):
        g = gradients(seed, 2, "random")
        g /= np.linalg.norm(g, axis=1, keepdims=True)
        found = answer(name, g @ g.T)
        if found.status is not Status.STATIONARY:
            # upgrad and dualproj regularise their programme by 1e-4 of the trace
            assert (g @ along(g, found.weights[:2]) >= -1e-3).all()


@pytest.mark.parametrize("name", ["dual_space_mgda", "normalized_sum", "normalized_difference", "imtl_g", "fairgrad"])
def test_two_unit_objectives_give_the_bisector(name):
    for seed in range(10):
        g = gradients(seed, 2, "random")
        g /= np.linalg.norm(g, axis=1, keepdims=True)
        middle = (g[0] + g[1]) / np.linalg.norm(g[0] + g[1])
        assert along(g, answer(name, g @ g.T).weights) == pytest.approx(middle, abs=1e-6)


@pytest.mark.parametrize("name", ["normalized_sum", "normalized_difference", "imtl_g", "fairgrad"])
def test_these_do_not_see_the_lengths_of_two_rows(name):
    g = gradients(4, 2, "random")
    scaled = g * np.array([[0.3], [3.0]])
    one, other = (along(rows, answer(name, rows @ rows.T).weights) for rows in (g, scaled))
    assert one == pytest.approx(other, abs=1e-3)  # fairgrad is solved by iteration


@pytest.mark.parametrize("name", [n for n in NAMES if n not in SIDED])
def test_one_live_objective_is_its_own_gradient(name):
    found = answer(name, np.diag([4.0, 9.0, 1.0]), live=[False, True, False])
    assert found.status is Status.SINGLE
    assert found.weights[1] > 0 and found.weights[[0, 2]].tolist() == [0, 0]


@pytest.mark.parametrize("name", sorted(SIDED))
def test_both_sides_are_asked_for(name):
    for forget in (0, 3):
        side = "forget" if forget else "retain"
        with pytest.raises(ValueError, match=rf"solver {name} needs an objective that reads forget .* o0 \({side}\)"):
            answer(name, np.eye(3), forget=forget)


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_cancel_are_stationary(name):
    found = answer(name, [[1.0, -1.0], [-1.0, 1.0]])
    assert found.status is Status.STATIONARY or not found.weights.any()
