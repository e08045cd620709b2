"""The weights that serve for several steps (direction.refresh_every), kept in the state a resumed run gets back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mollm_cli.core.solution import Array
from mollm_cli.gradients.direction import Choice

AGE, WEIGHT = "refresh.age", "refresh.weight.{name}"
"""Steps since the programme was solved, and the weight that it gave each objective."""


def kept_weights(state: dict[str, float], names: Sequence[str], every: int) -> Array | None:
    """The weights [m] for this step; None where the programme is to be solved."""
    if state.get(AGE, np.inf) + 1 >= every:
        return None
    return np.array([state[WEIGHT.format(name=name)] for name in names])


def remember(state: dict[str, float], names: Sequence[str], choice: Choice, every: int) -> None:
    """Keep what the solver remembers of a step that was taken, and its weights where another step will use them."""
    state.update(choice.state)
    if every > 1:
        state[AGE] = 0.0
        # The weights of carried rows, which follow, are of no use to a step without gradients.
        own = choice.weights[: len(names)]
        state.update((WEIGHT.format(name=name), float(w)) for name, w in zip(names, own, strict=True))


def age_weights(state: dict[str, float]) -> None:
    """Count a step that was taken with kept weights."""
    state[AGE] += 1
