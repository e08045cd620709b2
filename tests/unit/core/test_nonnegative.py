"""The smallest correction: its optimality conditions, scipy's non-negative least squares, and cases by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import nnls

from mollm_cli.core.nonnegative import MOST_ROWS, TOLERANCE, correction_gap, smallest_correction


def problem(rows: np.ndarray, change: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A and c of ``rows`` [k, n] against ``change`` [n], in the Euclidean metric."""
    return rows @ rows.T, rows @ change


def random(k: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.standard_normal((k, n)), generator.standard_normal(n)


@pytest.mark.parametrize("k", range(1, MOST_ROWS + 1))
def test_it_is_scipys_non_negative_least_squares(k: int) -> None:
    """min over l >= 0 of |G'l - Delta|^2 is the same problem; with independent rows its answer is one."""
    for seed in range(6):
        rows, change = random(k, 12, seed)
        found = smallest_correction(*problem(rows, change))
        assert found == pytest.approx(nnls(rows.T, change)[0], abs=1e-9)


@pytest.mark.parametrize("k", range(1, MOST_ROWS + 1))
def test_the_optimality_conditions_hold(k: int) -> None:
    for n, seed in itertools.product((2, 3, 20), range(5)):
        rows, change = random(k, n, seed)
        matrix, changes = problem(rows, change)
        found = smallest_correction(matrix, changes)
        left = change - rows.T @ found
        scale = np.linalg.norm(rows, axis=1) * np.linalg.norm(change)
        assert (found >= 0).all()
        assert (rows @ left <= 1e-9 * scale).all()  # nothing rises
        assert abs(found @ (rows @ left)) <= 1e-9 * np.linalg.norm(change) ** 2  # only what would rise is corrected
        assert np.linalg.norm(left) <= np.linalg.norm(change) * (1 + 1e-12)  # a projection
        assert correction_gap(matrix, changes, found) <= TOLERANCE


A, B = np.array([1.0, 0.0, 0.0]), np.array([0.6, 0.8, 0.0])
DEGENERATE = {
    "duplicate": [A, A, B],
    "opposite": [A, -A, B],
    "around zero": [A, [-0.5, 3**0.5 / 2, 0], [-0.5, -(3**0.5) / 2, 0]],
    "coplanar": [A, B, A + B, A - B],
    "rank one": [A, 2 * A, 3 * A],
    "a zero row": [A, 0 * A, B],
    "all zero": [0 * A, 0 * A],
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_and_badly_scaled_rows(name: str) -> None:
    for seed, exponent in itertools.product(range(4), (-15, -6, 0, 6, 15)):
        change = np.random.default_rng(seed).standard_normal(3)
        rows = np.array(DEGENERATE[name])
        scale = 10.0 ** np.linspace(0, exponent, len(rows))
        matrix, changes = problem(rows, change)
        found = smallest_correction(matrix * np.outer(scale, scale), changes * scale)
        assert np.isfinite(found).all()
        assert (found >= 0).all()
        assert correction_gap(matrix * np.outer(scale, scale), changes * scale, found) <= 1e-8
        assert (rows @ (change - rows.T @ (found * scale)) <= 1e-8 * np.linalg.norm(change)).all()


def test_float32_noise_in_the_matrix_does_not_blow_the_correction_up() -> None:
    """Opposite rows: the answer is on the cone's edge, and noise of 1e-7 must not become multipliers of 1e7."""
    rows, change = np.array([A, -A, B]), np.array([0.3, 0.2, 0.1])
    generator = np.random.default_rng(0)
    for _ in range(50):
        noise = 1e-7 * generator.standard_normal((3, 3))
        matrix, changes = problem(rows, change)
        found = smallest_correction(matrix + noise + noise.T, changes + 1e-7 * generator.standard_normal(3))
        left = change - rows.T @ found
        assert np.linalg.norm(left) <= np.linalg.norm(change) * (1 + 1e-5)
        assert (rows @ left <= 1e-5).all()


def test_by_hand() -> None:
    matrix = np.array([[2.0, 0.0], [0.0, 4.0]])
    assert smallest_correction(matrix, np.array([1.0, -3.0])).tolist() == [0.5, 0.0]
    assert smallest_correction(matrix, np.array([-1.0, -3.0])).tolist() == [0.0, 0.0]
    # correcting the first row alone would raise the second by 1 * 0.5: both are active
    coupled = np.array([[2.0, -1.0], [-1.0, 2.0]])
    assert smallest_correction(coupled, np.array([1.0, 0.0])) == pytest.approx([2 / 3, 1 / 3])
    assert smallest_correction(np.zeros((0, 0)), np.zeros(0)).tolist() == []


def test_a_multiplier_below_zero_is_not_cut_off() -> None:
    """Correcting row 1 alone takes row 2 from -0.5 - 3e-10 to -3e-10; both together would want l_2 = -4e-10."""
    coupled = np.array([[1.0, -0.5], [-0.5, 1.0]])
    assert smallest_correction(coupled, np.array([1.0, -0.5 - 3e-10])) == pytest.approx([1.0, 0.0], abs=1e-14)


def test_duplicates_share() -> None:
    assert smallest_correction(np.ones((2, 2)), np.ones(2)) == pytest.approx([0.5, 0.5])


def test_the_gap_tells_a_wrong_answer() -> None:
    matrix, changes = np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([1.0, -3.0])
    right = smallest_correction(matrix, changes)
    assert correction_gap(matrix, changes, right) <= TOLERANCE
    for wrong in ([0.4, 0.0], [0.6, 0.0], [0.5, 0.1], [0.5, -0.1], [0.0, 0.0]):
        assert correction_gap(matrix, changes, np.array(wrong)) > 1e-3


def test_it_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="at most 8 rows, found 9"):
        smallest_correction(np.eye(9), np.ones(9))
    with pytest.raises(ValueError, match="needs finite numbers"):
        smallest_correction(np.eye(2), np.array([np.nan, 0.0]))
