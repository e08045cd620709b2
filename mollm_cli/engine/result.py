"""The outcome of one step."""

from __future__ import annotations

from dataclasses import dataclass

from mollm_cli.core.solution import Array, Status
from mollm_cli.gradients.descent import Descent
from mollm_cli.gradients.direction import Choice


@dataclass(frozen=True, slots=True)
class StepResult:
    """The numbers of one step, for its record and for the next step.

    losses, weights [m]: of the objectives.
    gradient_norm: |d| before clipping.
    forget_probability: that of the batch; None where no forget row was read.
    tokens: of all roles, over all processes.
    status: how the direction came about.
    choice, gram [m, m]: None where no programme was solved in this step.
    descent: the first-order change of each objective on this batch; None where nobody measured it.
    after [m]: the losses of this batch after the step (direction.verify).
    learning_rate: the one that the optimizer had.
    moved: the share of half-precision weights that the step moved; None where there are none, or nobody records it.
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
    learning_rate: float = 0.0
    moved: float | None = None

    @property
    def predicted(self) -> Array | None:
        """g_i . Delta, [m], of the change that the optimizer's rule makes of d: metric, momentum, decay and clipping.

        None where the rule is not known.
        """
        return None if self.descent is None else self.descent.predicted
