"""From the Gram matrix of the raw gradients to one weight per objective: everything around the programme."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.solution import Array, Solver, State, Status
from mollm_cli.gradients.direction_settings import Direction

ASCENT = 1e-9
"""cos(g_i, d) below minus this is an ascent, not rounding."""
CANCELLED = 1e-3
"""A sum that is less than this share of its terms' absolute values says little: each term is known to 1e-7."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The weights of one step and how they came about; m objectives, k carried rows, L layers.

    weights [m+k]: multiply the raw gradients and the carried rows.
    simplex [m]: the programme's own weights, which sum to 1; None where it has none.
    live [m]: who took part.
    aligned [m]: cos(g_i, d).
    norm: |d|.
    state: numbers that the solver is given back at the next step.
    carried [k, m+k]: how each carried row comes about, from the raw gradients and the carried rows; None without any.
    layers [L, m+k]: the weights of each layer, where they differ. Then carried is [k, L, m+k], and weights and simplex
        are means over layers (``choose_by_layer``).
    """

    weights: Array
    simplex: Array | None
    live: NDArray[np.bool_]
    aligned: Array
    norm: float
    status: Status
    state: State
    carried: Array | None = None
    layers: Array | None = None


def choose(
    gram: Array, losses: Array, live: NDArray[np.bool_], solver: Solver, settings: Direction, state: State
) -> Choice:
    """Weights for the raw rows: normalise, solve, rescale, verify (METHODS.md, section 1, the safe recipe).

    gram [m+k, m+k]: float64, of the raw gradients and then of the rows that the solver carries.
    losses [m], live [m]: of the objectives (``Liveness``).
    d = sum_i weights_i g_i is what the optimizer subtracts.
    """
    lengths = np.sqrt(np.maximum(np.diag(gram), 0.0))
    norms = lengths[: len(live)]
    mean_norm = norms[live].mean() if live.any() else 0.0
    # Carried rows are what the solver made of prepared rows, so they are not scaled a second time.
    scale = np.ones(len(lengths))
    if settings.normalise == "mean" and mean_norm > 0:
        scale[: len(norms)] = np.where(norms > 0, mean_norm / np.where(norms > 0, norms, 1.0), 1.0)
    # Scaling rows is scaling the Gram matrix: no gradient is touched before the weights are known.
    prepared = gram * np.outer(scale, scale)
    answer = solver.solve(prepared, losses, live, state)
    weights = answer.weights * scale
    # A stationary d is rounding: giving it the length of a gradient would step along noise.
    weights, length = _rescaled(weights, gram, mean_norm, settings.rescale and answer.status is not Status.STATIONARY)
    aligned = alignment(gram @ weights, lengths, length)[: len(live)]
    # Whatever a solver promises is held against d itself.
    ascends = answer.status is not Status.STATIONARY and bool((aligned[live] < -ASCENT).any())
    status = Status.ASCENDS if ascends else answer.status
    carried = None if answer.carried is None else answer.carried * scale
    return Choice(weights, answer.simplex, live, aligned, length, status, answer.state, carried)


def _rescaled(weights: Array, gram: Array, mean_norm: float, wanted: bool) -> tuple[Array, float]:
    length = float(np.sqrt(max(float(weights @ gram @ weights), 0.0)))
    if wanted and length > 0:
        return weights * (mean_norm / length), float(mean_norm)
    return weights, length


def length_of(grams: Array, weights: Array) -> float | None:
    """|sum_i w_i g_i| to four digits; None where the terms of its square all but cancel, or are not finite.

    grams [L, n, n], weights [L, n]: the Gram matrix and the weights of each layer.
    """
    terms = weights[:, :, None] * grams * weights[:, None, :]
    square, size = float(terms.sum()), float(np.abs(terms).sum())
    return float(np.sqrt(square)) if CANCELLED * size < square else None


def alignment(along: Array, norms: Array, length: float) -> Array:
    """cos(g_i, d) from along_i = g_i . d, |g_i| and |d|; 0 where one of them is zero."""
    scale = norms * length
    return np.where(scale > 0, along / np.where(scale > 0, scale, 1.0), 0.0)


def cosines(gram: Array) -> Array:
    """cos(g_i, g_j), [m, m]; 0 where a row is zero."""
    norms = np.sqrt(np.maximum(np.diag(gram), 0.0))
    scale = np.outer(norms, norms)
    return np.where(scale > 0, gram / np.where(scale > 0, scale, 1.0), 0.0)
