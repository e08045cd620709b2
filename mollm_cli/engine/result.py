"""What is known after a step."""

from __future__ import annotations

from dataclasses import dataclass

from mollm_cli.core.solution import Array, Status
from mollm_cli.gradients.descent import Descent
from mollm_cli.gradients.direction import Choice


@dataclass(frozen=True, slots=True)
class StepResult:
    """losses, weights, after [m]; gram [m, m]; choice None where no programme was solved in this step.

    status: how the direction came about. descent: what the parameters did, to first order, on the batch of this step.
    after: the losses of that batch after the step (direction.verify).
    """

    losses: Array
    weights: Array
    gradient_norm: float
    forget_probability: float | None
    tokens: int
    status: Status = Status.FIXED
    choice: Choice | None = None
    gram: Array | None = None
    descent: Descent | None = None
    after: Array | None = None

    @property
    def predicted(self) -> Array | None:
        """[m]: g_i . Delta of the change that the optimizer's rule makes of d: metric, momentum, decay and clipping.

        None where the rule is not known.
        """
        return None if self.descent is None else self.descent.predicted
