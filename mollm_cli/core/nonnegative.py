"""A non-negative least-squares problem in m unknowns: the smallest correction after which no objective rises."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.solution import Array

TOLERANCE = 1e-9
"""Relative: of a support's residual, and of the optimality conditions."""
MOST_ROWS = 8
"""2^8 supports are gone through at the most."""


def smallest_correction(matrix: Array, changes: Array) -> Array:
    """argmin over l >= 0 of l'Al / 2 - l'c: the multipliers [k] of the smallest correction, exact up to rounding.

    matrix [k, k]: A_ij = g_i' P g_j; changes [k]: c_i = g_i . Delta. The correction -P sum_i l_i g_i is the smallest in
    the metric P^-1 after which g_i . Delta' = (c - Al)_i <= 0 for every i: Delta' is the projection of Delta onto the
    cone of joint descent, which is never empty (0 is in it) and never longer. This is its dual, a non-negative
    least-squares problem: l >= 0, Al - c >= 0, l'(Al - c) = 0. For each support S, A_SS l_S = c_S is solved by least
    squares, in u_i = l_i sqrt(A_ii), where A becomes a matrix of cosines, so that rows of very different length cost
    no digits; it is discarded where its residual exceeds 1e-9 (relative) or some u < 0, however little: a smaller
    support then has it to more digits. Of the rest, the shortest of those that meet the optimality conditions is taken.
    A row with A_ii = 0 can not be corrected and gets 0. Raises ValueError for more than 8 rows or numbers that are not
    finite.
    """
    k = len(matrix)
    if k > MOST_ROWS:
        raise ValueError(f"smallest_correction takes at most {MOST_ROWS} rows, found {k}")
    if not (np.isfinite(matrix).all() and np.isfinite(changes).all()):
        raise ValueError("smallest_correction needs finite numbers, found nan or inf")
    norms = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    rows = np.flatnonzero(norms > 0)
    cosine, target = _scaled(matrix, changes, norms, rows)
    supports = chain.from_iterable(combinations(range(len(rows)), size) for size in range(1, len(rows) + 1))
    candidates = [np.zeros(len(rows))]
    candidates += [u for support in supports if (u := _on(cosine, target, support)) is not None]
    gaps = [_gap(cosine, target, u) for u in candidates]
    best = [u for u, gap in zip(candidates, gaps, strict=True) if gap <= max(TOLERANCE, min(gaps))]
    multipliers = np.zeros(k)
    multipliers[rows] = min(best, key=lambda u: float(u @ u)) / norms[rows]
    return multipliers


def correction_gap(matrix: Array, changes: Array, multipliers: Array) -> float:
    """Distance of ``multipliers`` [k] from the optimality conditions of ``smallest_correction``; <= 1e-9 is optimal.

    The largest of -u_i, (c - Al)_i / sqrt(A_ii), and |u_i (Al - c)_i| / sqrt(A_ii) over the longest of u, each
    relative to s = max_i |c_i| / sqrt(A_ii), u_i = l_i sqrt(A_ii); what rounding alone can make of them is taken off
    first. Rows with A_ii = 0 are left out.
    """
    norms = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    rows = np.flatnonzero(norms > 0)
    cosine, target = _scaled(matrix, changes, norms, rows)
    return _gap(cosine, target, multipliers[rows] * norms[rows])


def _scaled(matrix: Array, changes: Array, norms: Array, rows: NDArray[np.intp]) -> tuple[Array, Array]:
    kept = matrix[np.ix_(rows, rows)] / norms[rows][:, None] / norms[rows]
    return (kept + kept.T) / 2, changes[rows] / norms[rows]


def _gap(cosine: Array, target: Array, u: Array) -> float:
    scale = float(np.abs(target).max(initial=0.0))
    if scale == 0:
        return float(np.abs(u).max(initial=0.0))
    rounding = 4 * len(u) * np.finfo(float).eps * (np.abs(cosine) @ np.abs(u) + np.abs(target))
    excess = target - cosine @ u
    longest = float(np.abs(u).max()) or 1.0
    slack = np.abs(u) / longest * np.maximum(np.abs(excess) - rounding, 0.0)
    return float(max((excess - rounding).max(), (-u).max(), slack.max()) / scale)


def _on(cosine: Array, target: Array, support: tuple[int, ...]) -> Array | None:
    """The stationary point whose support is (at most) ``support``, or None where there is none that is >= 0."""
    index = list(support)
    system = cosine[np.ix_(index, index)]
    solution = np.linalg.lstsq(system, target[index], rcond=None)[0]
    largest = float(max(np.abs(target).max(), np.abs(solution).max()))
    if np.abs(system @ solution - target[index]).max() > TOLERANCE * largest or solution.min() < 0:
        return None
    u = np.zeros(len(cosine))
    u[index] = solution
    return u
