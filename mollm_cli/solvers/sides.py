"""The two sides of an unlearning problem: objectives that read forget rows, and all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.solution import Array
from mollm_cli.core.types import Objective


@dataclass(frozen=True, slots=True)
class Sides:
    """The two sides. forget [m]: True for objectives that read ``forget``; preference [m]: the objectives' weights."""

    forget: NDArray[np.bool_]
    preference: Array

    def rows(self, live: NDArray[np.bool_]) -> tuple[Array, Array]:
        """g_f and g_r, the preferred sums of the live rows of each side, as weights [m] on the rows."""
        return np.where(live & self.forget, self.preference, 0.0), np.where(live & ~self.forget, self.preference, 0.0)


NO_SIDES = Sides(np.zeros(0, dtype=bool), np.zeros(0))
"""The sides of a solver that is not bound yet."""


def sides(objectives: Sequence[Objective], solver: str) -> Sides:
    """The sides of ``objectives``. Raises ValueError, naming ``solver``, where one of the two has none."""
    forget = np.array(["forget" in o.roles for o in objectives])
    if forget.all() or not forget.any():
        found = ", ".join(f"{o.name} ({'+'.join(o.roles)})" for o in objectives)
        raise ValueError(
            f"solver {solver} needs an objective that reads forget and one that does not, found {found}; "
            "use solver=weighted_sum, or a loss with both, such as loss=grad_diff"
        )
    return Sides(forget, np.array([o.weight for o in objectives]))
