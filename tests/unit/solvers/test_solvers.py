"""The solvers' own claims, on Gram matrices of every unpleasant kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mollm_cli.core.solution import Status
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.normalized_sum import NormalizedSum
from mollm_cli.solvers.simplex import min_norm_point, optimality_gap, unit_sum
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.grams import KINDS, gradients, objectives, solved


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.sampled_from(KINDS), st.integers(-15, 15))
@example(38, 8, "opposite", 0)  # zero is in the hull, and Gw is rounding alone
def test_min_norm_point_satisfies_its_optimality_conditions(seed, m, kind, exponent):
    g = gradients(seed, m, kind)
    gram = (g @ g.T) * 10.0**exponent
    w = min_norm_point(gram)
    assert (w >= 0).all()
    assert w.sum() == pytest.approx(1)
    assert optimality_gap(gram, w) <= 1e-9
    # common descent: no live objective ascends along d = sum w_i g_i, relative to the lengths involved
    along = gram @ w
    largest = np.diag(gram).max()
    length = np.sqrt(max(w @ along, np.finfo(float).eps * largest) * np.maximum(np.diag(gram), 1e-16 * largest))
    rounding = 4 * m * np.finfo(float).eps * np.abs(gram).sum(axis=1)  # w is known to eps, so Gw to this
    assert (along >= -1e-6 * length - rounding).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_min_norm_point_beats_many_random_points(seed, m):
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(m, 4))
    gram = g @ g.T
    w = min_norm_point(gram)
    for other in rng.dirichlet(np.ones(m), size=200):
        assert w @ gram @ w <= other @ gram @ other + 1e-12


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.sampled_from(KINDS))
def test_min_norm_point_follows_a_permutation_and_ignores_a_common_scale(seed, m, kind):
    g = gradients(seed, m, kind)
    gram = g @ g.T
    order = np.random.default_rng(seed).permutation(m)
    d = g.T @ min_norm_point(gram)
    permuted = g[order].T @ min_norm_point(gram[np.ix_(order, order)])
    assert np.allclose(d, permuted, atol=1e-6 * np.abs(g).max())
    assert np.allclose(min_norm_point(gram * 64.0), min_norm_point(gram), atol=1e-6)


def test_min_norm_by_hand():
    # two rows: w_1 = clip((g2 - g1).g2 / |g1 - g2|^2, 0, 1); here g1 = (1, 0), g2 = (0, 2): (0-.. ) = 4 / 5
    assert min_norm_point(np.diag([1.0, 4.0])) == pytest.approx([0.8, 0.2])
    # g2 = 3 g1: the shorter one alone
    assert min_norm_point(np.array([[1.0, 3.0], [3.0, 9.0]])) == pytest.approx([1, 0])
    # equal rows share their weight
    assert min_norm_point(np.ones((2, 2))) == pytest.approx([0.5, 0.5])
    # opposite rows cancel: (2/3) 1 - (1/3) 2 = 0
    assert min_norm_point(np.array([[1.0, -2.0], [-2.0, 4.0]])) == pytest.approx([2 / 3, 1 / 3])
    # three rows around zero
    g = np.array([[1, 0], [-0.5, 3**0.5 / 2], [-0.5, -(3**0.5) / 2]])
    assert min_norm_point(g @ g.T) == pytest.approx([1 / 3] * 3)
    # a zero row is the hull's nearest point to zero
    assert min_norm_point(np.diag([1.0, 0.0])) == pytest.approx([0, 1])
    assert min_norm_point(np.zeros((3, 3))) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("seed", range(10))
def test_equal_rows_share_their_weight_among_others_too(seed):
    """Whichever of the minimisers rounding makes look best."""
    g = gradients(seed, 4, "duplicate")
    weights = min_norm_point(g @ g.T)
    assert weights[0] == pytest.approx(weights[-1])


def test_min_norm_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="at most 8 rows, found 9"):
        min_norm_point(np.eye(9))
    with pytest.raises(ValueError, match="finite"):
        min_norm_point(np.array([[1.0, np.nan], [np.nan, 1.0]]))


def test_optimality_gap_sees_a_point_that_is_not_optimal():
    assert optimality_gap(np.diag([1.0, 4.0]), np.array([0.5, 0.5])) > 0.1
    assert optimality_gap(np.zeros((2, 2)), np.array([0.5, 0.5])) == 0


def test_unit_sum():
    assert unit_sum(np.array([1.0, 3.0])).tolist() == [0.25, 0.75]
    assert unit_sum(np.zeros(2)).tolist() == [0, 0]


def test_mgda_statuses():
    assert solved(DualSpaceMGDA(), np.diag([1.0, 4.0])).status is Status.CONVERGED
    assert solved(DualSpaceMGDA(), [[1.0, -1.0], [-1.0, 1.0]]).status is Status.STATIONARY
    almost = np.array([[1.0, 0.0], [-1.0, 1e-7]])
    assert solved(DualSpaceMGDA(), almost @ almost.T).status is Status.STATIONARY
    further = np.array([[1.0, 0.0], [-1.0, 1e-3]])
    assert solved(DualSpaceMGDA(), further @ further.T).status is Status.CONVERGED
    assert solved(DualSpaceMGDA(), np.eye(2), live=[True, False]).status is Status.SINGLE
    assert solved(DualSpaceMGDA(), np.eye(2), live=[False, False]).status is Status.RESTING
    resting = solved(DualSpaceMGDA(), np.eye(2), live=[False, False])
    assert resting.weights.tolist() == [0, 0]


def test_mgda_leaves_rows_that_are_not_live_alone():
    answer = solved(DualSpaceMGDA(), np.diag([1.0, 0.0, 4.0]), live=[True, False, True])
    assert answer.weights == pytest.approx([0.8, 0, 0.2])
    assert answer.simplex == pytest.approx([0.8, 0, 0.2])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_mgda_preference_is_the_share_of_the_common_decrease(seed, m):
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(m, 8)) + 1.0
    preference = rng.uniform(0.5, 3, size=m)
    answer = solved(DualSpaceMGDA(), g @ g.T, weights=list(preference))
    decrease = g @ (g.T @ answer.weights)
    per_preference = decrease / preference  # g_i . d >= c_i |d|^2, with equality on the support
    length = answer.weights @ (g @ g.T) @ answer.weights
    assert (per_preference >= length - 1e-9).all()
    assert np.allclose(per_preference[answer.weights > 1e-9], length)


def test_mgda_refuses_a_preference_of_zero():
    with pytest.raises(ValueError, match="preference > 0 for every objective, found 0.0 for 'o1'"):
        DualSpaceMGDA().bind(objectives(1.0, 0.0))


def test_normalized_sum_is_the_sum_of_unit_rows():
    g = np.array([[3.0, 0.0], [0.0, 0.1]])
    answer = solved(NormalizedSum(), g @ g.T, weights=[1.0, 2.0])
    assert g.T @ answer.weights == pytest.approx([1.0, 2.0])
    assert answer.simplex == pytest.approx([1 / 3, 2 / 3])


def test_normalized_sum_equals_mgda_on_two_unit_rows():
    g = np.random.default_rng(3).normal(size=(2, 5))
    g /= np.linalg.norm(g, axis=1, keepdims=True)
    a = g.T @ solved(NormalizedSum(), g @ g.T).weights
    b = g.T @ solved(DualSpaceMGDA(), g @ g.T).weights
    assert a / np.linalg.norm(a) == pytest.approx(b / np.linalg.norm(b))


def test_normalized_sum_ignores_zero_rows_and_rests():
    assert solved(NormalizedSum(), np.diag([4.0, 0.0])).weights == pytest.approx([0.5, 0])
    assert solved(NormalizedSum(), np.zeros((2, 2))).status is Status.RESTING


def test_normalized_sum_does_not_blow_up_what_is_left_of_opposite_rows():
    g = np.array([[1.0, 0.0], [-5.0, 1e-4]])
    assert solved(NormalizedSum(), g @ g.T).status is Status.STATIONARY
    assert solved(NormalizedSum(), g @ g.T, weights=[1.0, 2.0]).status is Status.CONVERGED


def test_weighted_sum_gives_the_objectives_weights():
    answer = solved(WeightedSum(), np.zeros((2, 2)), weights=[1.0, 0.25])
    assert answer.weights.tolist() == [1.0, 0.25]
    assert answer.status is Status.FIXED
    assert WeightedSum.needs == frozenset()
