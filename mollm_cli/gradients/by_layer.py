"""One programme per layer: each layer gets weights of its own, and who is live is decided on the whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.solution import Array, Solver, State, Status
from mollm_cli.gradients.direction import ASCENT, Choice, alignment, choose
from mollm_cli.gradients.direction_settings import Direction


def choose_by_layer(
    grams: Array,
    names: Sequence[str],
    losses: Array,
    live: NDArray[np.bool_],
    solver: Solver,
    settings: Direction,
    state: State,
) -> Choice:
    """d_l = sum_i w_i^l g_i^l, with the weights w^l from the Gram matrix of layer l alone.

    grams [L, m+k, m+k], names [L]: of the layers.
    losses [m], live [m]: of the whole objectives, so that one rests in all layers or in none.
    state: numbers that the solver remembers per layer, as "LAYER:KEY".

    Normalising and rescaling are each layer's own. g_i . d = sum_l g_i^l . d_l, so where the programme of every layer
    promises descent, the whole descends. Of the choice that is returned:

    weights_i = sum_l w_i^l |g_i^l|^2 / sum_l |g_i^l|^2: the multiple of g_i that is closest to its part of d.
    simplex: the mean of the layers' own, by their share of the live rows' squared norms.
    aligned, norm: of the whole d.
    status: the one that all layers have in common, else ``ascends`` where a live objective is raised, else
        ``degenerate`` where a layer is, else ``converged``.
    """
    m = len(live)
    squares = np.maximum(np.diagonal(grams, axis1=1, axis2=2), 0.0)
    norms = np.sqrt(squares.sum(axis=0))
    # In a layer that a live objective does not reach (g_i^l = 0) the others decide.
    layers = [
        choose(gram, losses, live & (squares[k, :m] > 0), solver, settings, _own(state, name))
        for k, (gram, name) in enumerate(zip(grams, names, strict=True))
    ]
    weights = np.array([layer.weights for layer in layers])
    along = np.einsum("lij,lj->i", grams, weights)
    length = float(np.sqrt(max(float(np.einsum("li,lij,lj->", weights, grams, weights)), 0.0)))
    aligned = alignment(along, norms, length)[:m]
    total = squares.sum(axis=0)
    mean = np.where(total > 0, (weights * squares).sum(axis=0) / np.where(total > 0, total, 1.0), 0.0)
    carried = None if layers[0].carried is None else np.array([layer.carried for layer in layers]).swapaxes(0, 1)
    remembered = {f"{name}:{key}": x for name, own in zip(names, layers, strict=True) for key, x in own.state.items()}
    simplex = _mean_simplex(layers, squares[:, :m][:, live].sum(axis=1))
    status = _status(layers, aligned[live])
    return Choice(mean, simplex, live, aligned, length, status, remembered, carried, weights)


def _own(state: State, layer: str) -> dict[str, float]:
    mark = f"{layer}:"
    return {key.removeprefix(mark): value for key, value in state.items() if key.startswith(mark)}


def _mean_simplex(layers: Sequence[Choice], shares: NDArray[np.float64]) -> Array | None:
    kept = [(layer.simplex, share) for layer, share in zip(layers, shares, strict=True) if layer.simplex is not None]
    total = sum(share for _, share in kept)
    if not kept or total <= 0:
        return None
    mean: Array = np.sum([simplex * (share / total) for simplex, share in kept], axis=0)
    return mean


def _status(layers: Sequence[Choice], aligned: Array) -> Status:
    found = {layer.status for layer in layers} - {Status.RESTING}
    if not found:
        return Status.RESTING
    if len(found) == 1 and Status.ASCENDS not in found:
        return found.pop()
    if (aligned < -ASCENT).any():
        return Status.ASCENDS
    return Status.DEGENERATE if Status.DEGENERATE in found else Status.CONVERGED
