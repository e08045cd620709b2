"""Weights that serve for several steps (direction.refresh_every), in the state that a resumed run gets back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mollm_cli.core.solution import Array

AGE, WEIGHT = "refresh.age", "refresh.weight.{name}"
"""Steps since the programme was solved, and what it gave each objective."""


def kept_weights(state: dict[str, float], names: Sequence[str], every: int) -> Array | None:
    """The weights [m] for this step; None where the programme is to be solved."""
    if state.get(AGE, np.inf) + 1 >= every:
        return None
    return np.array([state[WEIGHT.format(name=name)] for name in names])


def keep_weights(state: dict[str, float], names: Sequence[str], weights: Array, every: int) -> None:
    """Remember the weights [m] of a programme that was just solved, where another step will use them."""
    if every > 1:
        state[AGE] = 0.0
        state.update((WEIGHT.format(name=name), float(w)) for name, w in zip(names, weights, strict=True))


def age_weights(state: dict[str, float]) -> None:
    """A step was taken with them."""
    state[AGE] += 1
