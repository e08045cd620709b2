"""The state that every kind of step works on: the model, how it is to be moved, and all that is remembered."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mollm_cli.core.solution import Array, Solver
from mollm_cli.core.types import Loss
from mollm_cli.engine.batch_losses import Batches, BatchLosses, Forwards, RoleGroup
from mollm_cli.engine.pace import FACTOR, FIRST, STEPS, Pace
from mollm_cli.gradients.clipping import Clipping
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.gradients.inner import GradientRow
from mollm_cli.gradients.liveness import Liveness
from mollm_cli.gradients.trained import Trained
from mollm_cli.models.reference import Reference
from mollm_cli.optimizers.optimizer_state import release_momentum

MOVING = "forget.live"
"""1 where the forget side took part in the step before, else 0; in the state that a resumed run gets back."""


@dataclass(slots=True)
class StepState:
    """Everything that a step needs and that lasts from step to step.

    reference: the frozen starting model, for objectives that compare with it.
    target: the resolved forget target, a probability; None: forgetting has no end.
    clip_norm: the longest that a direction may be; None: any length.
    bf16: whether forward passes run under autocast.
    remembered: numbers that the solver is given back, and weights that serve for several steps. Like the optimizer's
        state and ``carried`` they change when a step is taken, not before.
    trained: the parameters, with this process's part of each; None: all of ``model``, by one process.
    pace: how long steps are; None: as the learning rate has it.
    carried: rows that the solver keeps from step to step, one per name in ``Solver.carries``.
    factor: of the learning rate, in the step that is being made.

    Raises ValueError where the solver cannot work on the loss, or the optimizer moves other parameters.
    """

    model: Any
    reference: Reference
    loss: Loss
    solver: Solver
    direction: Direction
    optimizer: torch.optim.Optimizer
    target: float | None = None
    clip_norm: float | None = None
    bf16: bool = False
    remembered: dict[str, float] = field(default_factory=dict)
    trained: Trained = None  # type: ignore[assignment]  # filled in at once
    pace: Pace | None = None
    parameters: list[torch.nn.Parameter] = field(init=False)
    carried: list[GradientRow] = field(init=False)
    clipping: Clipping = field(init=False)
    factor: float = field(init=False, default=1.0)

    def __post_init__(self) -> None:
        """Bind the solver to the objectives' order, and settle what does not change between steps."""
        self.solver.bind(self.loss.objectives)
        self.trained = self.trained or Trained.of(self.model)
        self.parameters = self.trained.parameters
        self.trained.require_moved_by(self.optimizer)
        self.carried = [[None] * len(self.parameters) for _ in self.solver.carries]
        self.clipping = Clipping(self.trained, self.names, self.clip_norm)

    @property
    def names(self) -> list[str]:
        """The objectives' names, in the order of rows and weights."""
        return [o.name for o in self.loss.objectives]

    @property
    def liveness(self) -> Liveness:
        """The rule of who takes part in a step."""
        rule = Liveness.of(self.loss.objectives, self.solver, self.direction, self.target)
        if self.pace is None or not rule.hold:
            return rule
        return replace(rule, budget=self.pace.allowed(self.remembered.get(STEPS, 0.0), rule.budget))

    def losses(self, batches: Batches) -> BatchLosses:
        """The losses of ``batches``; forward passes are made as a step asks for them."""
        forwards = Forwards(self.model, self.reference, self.loss, self.bf16)
        return BatchLosses(forwards, batches, self.trained.world, self.direction.holds(self.solver))

    def settled(self, live: NDArray[np.bool_]) -> None:
        """Let go of the optimizer's momentum where the forget side comes to rest: what is left of it would go on."""
        if self.target is None:
            return
        forgets = any(on and "forget" in o.roles for on, o in zip(live, self.loss.objectives, strict=True))
        if not forgets and self.remembered.get(MOVING, 0.0):
            release_momentum(self.optimizer)
        self.remembered[MOVING] = float(forgets)

    def paced(self, totals: Array, moving: bool = True) -> None:
        """Give the optimizer the rate of this step, by the losses of its batch; ``moving``: it has somewhere to go."""
        self.factor = self.remembered.get(FACTOR, 1.0)
        if self.pace is None:
            return
        kl = max(x for x, o in zip(totals, self.loss.objectives, strict=True) if o.divergence)
        if moving and FACTOR in self.remembered:
            budget = self.liveness.budget if self.direction.holds(self.solver) else np.inf
            self.factor = self.pace.next(self.remembered[FIRST], self.factor, float(kl), budget)
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr"] * self.factor

    def resting(self, losses: BatchLosses, group: RoleGroup) -> NDArray[np.bool_]:
        """True for objectives of ``group`` that need no backward pass, [m]; for none where its batch is in pieces."""
        rule = self.liveness
        if not losses.at_once(group) or not any(rule.may_rest(i) for i in group[0]):
            # Asking costs a transfer from the device, so nobody asks where the answer could only be no.
            return nobody(losses, group)
        return rule.resting(*losses.so_far(group), losses.starts())


def nobody(losses: BatchLosses, group: RoleGroup) -> NDArray[np.bool_]:
    """In place of ``StepState.resting`` where every gradient is wanted: nobody rests, [m]."""
    return np.zeros(len(losses.objectives), dtype=bool)
