"""The question put to a solver and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.types import Objective

Array = NDArray[np.float64]
State = Mapping[str, float]

KL_ROUNDING = 1e-6
"""Nats per token under which a KL is rounding: its gradient is noise that normalising would blow up."""
KL_ROOM = 0.02
"""Nats per token that KL may spend where a solver lets no live row rise: without room it opposes every step taken."""


class Status(StrEnum):
    """The outcome of a solver. Expected numerical outcomes are values, not exceptions."""

    FIXED = "fixed"  # weights that depend on nothing
    CONVERGED = "converged"  # the programme's optimality conditions hold
    SINGLE = "single"  # one live objective: its own gradient
    STATIONARY = "stationary"  # the gradients cancel: no direction descends on all of them
    DEGENERATE = "degenerate"  # the optimality conditions hold only loosely; the best point found
    RESTING = "resting"  # no objective is live
    REUSED = "reused"  # the weights of an earlier step (direction.refresh_every)
    ASCENDS = "ascends"  # the direction raises a live objective, to first order


@dataclass(frozen=True, slots=True)
class Solution:
    """weights [m+k] multiply the rows that were given; simplex [m] sums to 1 where the programme has such weights.

    state: what the solver is given back at the next step. carried [k, m+k]: what each carried row becomes after this
    step, as a combination of the rows that were given; None where the solver carries none.
    """

    weights: Array
    status: Status
    simplex: Array | None = None
    state: State = field(default_factory=dict)
    carried: Array | None = None


class Solver(Protocol):
    """Gram matrix in, weights out.

    needs: what the engine must compute, out of {"losses", "gram"}; it computes no more than that.
    carries: names of k extra rows the solver wants kept from step to step (an average of gradients): as long as a
    gradient each, part of the resume point, zero before the first step. kl_budget: nats per token that KL may spend
    before the solver wants it as a live row (a min-norm programme creeps without one, a sum of unit rows does not).
    """

    name: str
    needs: frozenset[str]
    carries: tuple[str, ...]
    kl_budget: float

    def bind(self, objectives: Sequence[Objective]) -> None:
        """Take these rows, their weights as fixed weights or preferences. Raises ValueError where it cannot."""
        ...

    def solve(self, gram: Array, losses: Array, live: NDArray[np.bool_], state: State) -> Solution:
        """gram [m+k, m+k] float64, losses [m], live [m] -> weights [m+k], 0 on objectives that are not live.

        The k carried rows, as the step before left them, stand after the m objectives. losses are those of the step
        before where no Gram matrix is asked for (nan at the first step).
        """
        ...
