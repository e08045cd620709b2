"""From the Gram matrix of the raw gradients to one weight per objective: everything around the programme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.solution import Array, Solver, State, Status
from mollm_cli.core.types import Objective
from mollm_cli.gradients.direction_settings import Direction

ASCENT = 1e-9
"""cos(g_i, d) below minus this is an ascent, not rounding."""
CANCELLED = 1e-3
"""A sum that is less than this of its terms' absolute values says little: each of them is known to 1e-7."""


@dataclass(frozen=True, slots=True)
class Choice:
    """weights [m+k] multiply the raw gradients and the carried rows; aligned [m] = cos(g_i, d); live [m].

    carried [k, m+k]: what the carried rows become, from the raw gradients and themselves; None where there are none.
    layers [L, m+k]: the weights of each layer, where they differ; carried is [k, L, m+k] then, and weights and simplex
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


def resting_rows(
    objectives: Sequence[Objective],
    settings: Direction,
    budget: float,
    losses: Array,
    forget_probability: float,
    target: float | None,
) -> NDArray[np.bool_]:
    """Which objectives want nothing in this step, whatever their gradients, bool [m]; known from the losses alone.

    A KL to the reference with L_i <= budget, and one that forgets where the batch's forget probability <= target.
    ``paper``: none.
    """
    rests = np.zeros(len(objectives), dtype=bool)
    for i, objective in enumerate(objectives):
        if settings.paper:
            break
        within = objective.divergence and losses[i] <= budget
        rests[i] = within or ("forget" in objective.roles and target is not None and forget_probability <= target)
    return rests


def live_rows(
    objectives: Sequence[Objective],
    settings: Direction,
    budget: float,
    norms: Array,
    losses: Array,
    forget_probability: float,
    target: float | None,
) -> NDArray[np.bool_]:
    """Which objectives take part in this step, bool [m].

    live_i = i does not rest, and |g_i| > threshold * max |g_j| over those that do not. ``paper``: all.
    """
    if settings.paper:
        return np.ones(len(objectives), dtype=bool)
    rests = resting_rows(objectives, settings, budget, losses, forget_probability, target)
    live: NDArray[np.bool_] = ~rests & (norms > settings.live_threshold * norms[~rests].max(initial=0.0))
    return live


def kl_budget(solver: Solver, settings: Direction) -> float:
    """Nats per token that KL may spend before it is live."""
    return solver.kl_budget if settings.kl_budget == "auto" else settings.kl_budget


def choose(
    gram: Array,
    losses: Array,
    objectives: Sequence[Objective],
    solver: Solver,
    settings: Direction,
    forget_probability: float,
    target: float | None,
    state: dict[str, float] | None = None,
) -> Choice:
    """Weights for the raw rows: filter, normalise, solve, rescale, verify (METHODS.md, section 1, the safe recipe).

    gram [m+k, m+k] float64 of the raw gradients and the rows the solver carries; losses [m]. d = sum_i weights_i g_i
    is what is subtracted. Carried rows are what the solver made of prepared rows: they are neither filtered nor scaled.
    """
    norms = np.sqrt(np.maximum(np.diag(gram), 0.0))[: len(objectives)]
    budget = kl_budget(solver, settings)
    live = live_rows(objectives, settings, budget, norms, losses, forget_probability, target)
    return solved(gram, losses, live, solver, settings, state or {})


def solved(
    gram: Array, losses: Array, live: NDArray[np.bool_], solver: Solver, settings: Direction, state: State
) -> Choice:
    """The choice where ``live`` [m] is known; gram [m+k, m+k]."""
    lengths = np.sqrt(np.maximum(np.diag(gram), 0.0))
    norms = lengths[: len(live)]
    mean_norm = norms[live].mean() if live.any() else 0.0
    scale = np.ones(len(lengths))
    if settings.normalise == "mean" and mean_norm > 0:
        scale[: len(norms)] = np.where(norms > 0, mean_norm / np.where(norms > 0, norms, 1.0), 1.0)
    prepared = gram * np.outer(scale, scale)
    answer = solver.solve(prepared, losses, live, state)
    weights = answer.weights * scale
    weights, length = _rescaled(weights, gram, mean_norm, settings.rescale and answer.status is not Status.STATIONARY)
    aligned = alignment(gram @ weights, lengths, length)[: len(live)]
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
    """|sum_i w_i g_i| from the Gram matrices of all layers, [L, n, n], and their weights [L, n]: to four digits.

    None where the terms of its square all but cancel, or are not finite.
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
