"""The min-norm point of a convex hull, exactly, from the Gram matrix of its corners."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np

from mollm_cli.core.solution import Array

TOLERANCE = 1e-9
"""Relative, for the bordered system's residual and for the optimality conditions."""
MOST_ROWS = 8
"""At most 2^8 - 1 = 255 supports are enumerated; up to here a second algorithm is not worth having."""


def unit_sum(weights: Array) -> Array:
    """``weights`` scaled to sum 1; all zero stays all zero."""
    total = weights.sum()
    return weights / total if total > 0 else weights


def min_norm_point(gram: Array) -> Array:
    """argmin_w w'Gw / 2 with w >= 0, sum w = 1, for a Gram matrix [k, k] with k <= 8; exact up to rounding.

    For each support S the bordered system [[G_SS, 1], [1', 0]] [w; mu] = [0; 1] is solved by least squares. Supports
    whose residual exceeds 1e-9 (relative), or that have some w < 0, are discarded. Of the others, those that meet the
    optimality conditions are minimisers; the most even one is taken, so that equal rows share their weight. Raises
    ValueError for more than 8 rows or a matrix that is not finite. Source: Désidéri 2012 for the problem; FedLF (Pan et
    al.) for its use.
    """
    k = len(gram)
    if k > MOST_ROWS:
        raise ValueError(f"min_norm_point takes at most {MOST_ROWS} rows, found {k}")
    if not np.isfinite(gram).all():
        raise ValueError("min_norm_point needs a finite Gram matrix, found nan or inf")
    norms = np.sqrt(np.maximum(np.diag(gram), 0.0))
    if (norms == 0).any():
        return unit_sum((norms == 0).astype(float))
    # Solved in u_i = w_i |g_i|, where G becomes the matrix of cosines: rows of very different length cost no digits.
    cosine = (gram + gram.T) / (2 * np.outer(norms, norms))
    border = norms.min() / norms
    candidates = [w for support in _supports(k) if (w := _stationary(cosine, border, support)) is not None]
    gaps = [optimality_gap(gram, w) for w in candidates]
    best = [w for w, gap in zip(candidates, gaps, strict=True) if gap <= max(TOLERANCE, min(gaps))]
    return min(best, key=lambda w: float(w @ w))


def optimality_gap(gram: Array, weights: Array) -> float:
    """The distance of ``weights`` from min-norm: max_i of w'Gw - (Gw)_i over sqrt(G_ii max(w'Gw, eps max G)).

    At the min-norm point (Gw)_i >= w'Gw for every i, so the gap is <= 0 up to rounding; <= 1e-9 counts as optimal.
    """
    # Weights are known to eps, so (Gw)_i is known to eps sum_j |G_ij| only. 4 k times that, and its mean over w, comes
    # off first: where rows cancel, nothing but this is left of them.
    magnitude = np.abs(gram).sum(axis=1)
    rounding = 4 * len(gram) * np.finfo(float).eps * (magnitude + weights @ magnitude)
    projected = gram @ weights + rounding
    value = weights @ (gram @ weights)
    largest = np.diag(gram).max(initial=0.0)
    if largest <= 0:
        return 0.0
    floor = np.sqrt(np.maximum(np.diag(gram), np.finfo(float).eps * largest))
    scale = floor * np.sqrt(max(value, np.finfo(float).eps * largest))
    return float(((value - projected) / scale).max())


def _supports(k: int) -> chain[tuple[int, ...]]:
    return chain.from_iterable(combinations(range(k), size) for size in range(1, k + 1))


def _stationary(cosine: Array, border: Array, support: tuple[int, ...]) -> Array | None:
    """The stationary point whose support is (at most) ``support``, or None where there is none on the simplex."""
    size, index = len(support), list(support)
    system = np.zeros((size + 1, size + 1))
    system[:size, :size] = cosine[np.ix_(index, index)]
    system[size, :size] = system[:size, size] = border[index]
    target = np.zeros(size + 1)
    target[size] = 1.0
    # The textbook w_S = G_SS^-1 1 / (1' G_SS^-1 1) fails exactly at Pareto points: opposite rows, three around zero.
    solution = np.linalg.lstsq(system, target, rcond=None)[0]
    largest = max(1.0, float(np.abs(solution).max()))
    # A weight below 0, however little, is not cut off: a smaller support has the digits that this would cost.
    if np.abs(system @ solution - target).max() > TOLERANCE * largest or solution[:size].min() < 0:
        return None
    weights = np.zeros(len(cosine))
    weights[index] = solution[:size] * border[index]
    return unit_sum(weights)
