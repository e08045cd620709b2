"""The direction of joint descent closest to the sum of unit gradients."""

from __future__ import annotations

import numpy as np
import pytest

from mollm_cli.core.solution import Status
from mollm_cli.solvers.closest_descent import ClosestDescent
from mollm_cli.solvers.normalized_sum import NormalizedSum
from tests.support.grams import KINDS, along, gradients, solved


@pytest.mark.parametrize("seeds", [range(5), pytest.param(range(5, 20), marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_no_live_objective_ascends(kind, seeds):
    for seed in seeds:
        for m in range(1, 9):
            g = gradients(seed, m, kind)
            found = solved(ClosestDescent(), g @ g.T)
            lengths = np.linalg.norm(g, axis=1)
            d = found.weights @ g
            slack = 1e-7 * lengths * np.abs(found.weights * lengths).sum()
            assert (g @ d >= -slack).all()
            assert (found.weights >= 0).all()


def test_where_the_sum_descends_it_is_the_sum():
    for seed in range(50):
        g = gradients(seed, 3, "random")
        unit = g / np.linalg.norm(g, axis=1, keepdims=True)
        if (unit @ unit.sum(axis=0) > 1e-6).all():
            expected = solved(NormalizedSum(), g @ g.T).weights
            assert solved(ClosestDescent(), g @ g.T).weights == pytest.approx(expected)


def test_elsewhere_it_is_the_projection_onto_the_cone():
    """Against scipy's own solver: min |d - t| subject to G d >= 0, in the space of the rows."""
    from scipy.optimize import minimize

    projected = 0
    for seed in range(40):
        g = gradients(seed, 3, "random")
        g[2] = -g[0] - 0.3 * g[1] + 0.1 * g[2]  # in conflict with the others
        unit = g / np.linalg.norm(g, axis=1, keepdims=True)
        target = unit.sum(axis=0)
        if (unit @ target >= 0).all():
            continue
        projected += 1
        found = along(g, solved(ClosestDescent(), g @ g.T).weights)
        best = minimize(
            lambda d, t=target: ((d - t) ** 2).sum(),
            target,
            jac=lambda d, t=target: 2 * (d - t),
            constraints=[{"type": "ineq", "fun": lambda d, u=unit: u @ d, "jac": lambda d, u=unit: u}],
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        ).x
        assert found == pytest.approx(best / np.linalg.norm(best), abs=1e-4)
    assert projected > 10


def test_by_hand():
    """Unit rows at 0 and 150 degrees: t is at 75, in nobody's way. With preferences 1 and 3 it leaves the cone.

    t = (1, 0) + 3 (cos 150, sin 150) = (-1.598, 1.5); g_1 . t < 0; the closest direction with g_1 . d >= 0 is (0, 1.5).
    """
    angle = np.deg2rad(150)
    g = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    even = solved(ClosestDescent(), g @ g.T)
    assert even.weights == pytest.approx([1, 1]) and even.status is Status.CONVERGED
    assert even.simplex == pytest.approx([0.5, 0.5])
    uneven = solved(ClosestDescent(), g @ g.T, weights=[1.0, 3.0])
    assert uneven.weights @ g == pytest.approx([0.0, 1.5])
    assert uneven.weights == pytest.approx([1 + 1.5980762, 3.0])


def test_opposite_rows_are_stationary():
    assert solved(ClosestDescent(), [[1.0, -1.0], [-1.0, 1.0]]).status is Status.STATIONARY
