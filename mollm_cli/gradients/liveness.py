"""The one decision of who takes part in a step: objectives that have what they want rest, and noise is no row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.solution import Array, Solver
from mollm_cli.core.types import Objective
from mollm_cli.gradients.direction_settings import Direction


@dataclass(frozen=True, slots=True)
class Liveness:
    """The rule by which objectives rest or are live; it stays the same from step to step.

    paper: the literal reading, by which every objective takes part.
    threshold: the share of the longest gradient's norm below which a gradient is noise.
    budget: nats per token that a KL to the reference may spend before it is live.
    target: the forget probability at which objectives on forget rows rest; None: they never do.
    hold: whether an objective that knows its starting value is live only where it has risen by more than ``margin``.
    margin: a share of the starting value: the same bound for a model that knows its rows by heart and for one that
        does not.
    """

    objectives: Sequence[Objective]
    paper: bool = False
    threshold: float = 1e-3
    budget: float = 0.0
    target: float | None = None
    hold: bool = False
    margin: float = 0.0

    @classmethod
    def of(
        cls, objectives: Sequence[Objective], solver: Solver, settings: Direction, target: float | None = None
    ) -> Liveness:
        """The rule that ``settings`` describe; where they leave the budget open, ``solver`` knows it."""
        budget = settings.budget(solver)
        threshold, hold = settings.live_threshold, settings.holds(solver)
        return cls(objectives, settings.paper, threshold, budget, target, hold, settings.hold_margin)

    @property
    def held(self) -> NDArray[np.bool_]:
        """The objectives that have a bound, above which they must fall and below which they want nothing, [m]."""
        return np.array([self.hold and (o.divergence or o.start is not None) for o in self.objectives])

    def may_rest(self, i: int) -> bool:
        """True where objective ``i`` can rest at all; where none can, nobody need read the losses early."""
        objective = self.objectives[i]
        forgets = "forget" in objective.roles and self.target is not None
        return not self.paper and (objective.divergence or forgets or bool(self.held[i]))

    def bounds(self, starts: Array | None) -> Array:
        """The losses up to which objectives want nothing, [m]; nan for those that always want more, or do not know.

        starts [m]: the frozen starting model's losses on the same rows, nan where they are not known; None: of all.
        """
        found = np.full(len(self.objectives), np.nan) if starts is None else starts * (1 + self.margin)
        divergent = [o.divergence for o in self.objectives]
        return np.where(divergent, self.budget, np.where(self.held, found, np.nan))

    def excess(self, losses: Array, starts: Array | None) -> Array:
        """Nats per token by which held objectives are above their bounds, [m]; 0 for all others."""
        above = np.nan_to_num(losses - self.bounds(starts), nan=0.0)
        return np.where(self.held, np.maximum(above, 0.0), 0.0)

    def resting(
        self, losses: Array, forget_probability: float | None, starts: Array | None = None
    ) -> NDArray[np.bool_]:
        """The objectives that want nothing in this step, whatever their gradients are, bool [m].

        losses [m]: nan where a loss is not known yet; such an objective does not rest.
        forget_probability: that of the step's batch; None where no forget row was read.
        starts [m]: as in ``bounds``.
        """
        reached = self.target is not None and (1.0 if forget_probability is None else forget_probability) <= self.target
        within = losses <= self.bounds(starts)
        rests = np.zeros(len(self.objectives), dtype=bool)
        for i, objective in enumerate(self.objectives):
            if self.may_rest(i):
                rests[i] = within[i] or (reached and "forget" in objective.roles)
        return rests

    def live(
        self, norms: Array, losses: Array, forget_probability: float | None, starts: Array | None = None
    ) -> NDArray[np.bool_]:
        """The objectives that take part in this step, bool [m].

        live_i = i does not rest, and |g_i| > threshold * max |g_j| over those that do not rest.
        """
        if self.paper:
            return np.ones(len(self.objectives), dtype=bool)
        rests = self.resting(losses, forget_probability, starts)
        # The longest gradient is sought among those that do not rest: one that has what it wants may be any length.
        live: NDArray[np.bool_] = ~rests & (norms > self.threshold * norms[~rests].max(initial=0.0))
        return live
