"""The length of steps where nobody gives a learning rate: as much drift as was asked for, on any model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

FIRST, FACTOR, STEPS = "pace.first", "pace.factor", "pace.steps"
"""Factors of the optimizer's usual rate, in the first step and now, and the steps taken: what a resumed run gets back.
"""
SPENDING = 1.5
"""The power of the number of steps by which the KL that may be spent grows."""
TRIES, LEAP = 8, 16.0
"""Tries of the bracket at the most, and the most that one of them changes the step by."""
NEAR = 1.25
"""A first step whose drift is within this factor of the one that was asked for stays as it is."""
GROWTH, SHRINK = 1.05, 0.9
"""The most by which the rate grows and shrinks from one step to the next."""
RANGE = 4.0
"""The most by which it leaves what the first step found, either way: a budget that is out of reach must not end a run
at a rate of nothing, nor a KL that never moves at one without end."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A factor of the optimizer's rate, found on the first step and kept in bounds afterwards.

    drift: KL(start || after one step) on the retain rows of the step, in nats per token: how far one step goes.

    A first step is lengthened or shortened until that is its drift (``bracket``); KL grows with the square of the step.
    From then on the rate grows while the KL of the batch, which every step knows, is within ``budget``. Above it
    the rate shrinks in proportion to sqrt(budget / KL), by a tenth at the most: one batch may be far out by chance.
    """

    drift: float

    def allowed(self, steps: float, budget: float) -> float:
        """The KL that a run may have spent after ``steps`` steps: drift (steps + 1)^1.5, <= ``budget``.

        KL grows with the square of a change: with steps^2 where all steps go one way, with steps where they are
        independent. A run lies between the two. So one that reaches its target soon spends little of its budget, and
        one that needs all of it has it in the end.
        """
        return min(budget, self.drift * float((steps + 1) ** SPENDING))

    def next(self, first: float, factor: float, kl: float, budget: float) -> float:
        """The factor of this step, from those of the first and of the last one and the KL on the step's batch."""
        change = max(SHRINK, float(np.sqrt(budget / kl))) if kl > budget else GROWTH
        return float(np.clip(factor * change, first / RANGE, first * RANGE))

    @torch.no_grad()
    def bracket(
        self, kl: Callable[[], float], parameters: Sequence[torch.Tensor], before: Sequence[torch.Tensor]
    ) -> float:
        """Scale the step from ``before`` to ``parameters``, in place, to the drift asked for; returns the scale.

        before: wherever they are kept.
        kl: measures the drift of the parameters as they are, in nats per token.
        """
        scale = 1.0
        for _ in range(TRIES):
            found = kl()
            if self.drift / NEAR <= found <= self.drift * NEAR:
                break
            ratio = np.sqrt(self.drift / max(found, 1e-12)) if np.isfinite(found) else 0.0
            change = float(np.clip(ratio, 1 / LEAP, LEAP))
            for parameter, start in zip(parameters, before, strict=True):
                parameter.copy_(torch.lerp(start.to(parameter.device), parameter.detach(), change))
            scale *= change
        return scale
