"""One update of the model: ``Stepper``. There are three kinds of step; which one is taken follows from the solver.

  fixed   weighted_step.py  The solver reads no gradient. sum_i w_i L_i is sent backward, once per role.
  exact   gram_step.py      Forward forget, forward retain -> losses -> one backward pass per objective, harvested into
                            rows -> Gram matrix -> who is live, one weight each -> d = sum_i w_i g_i into ``.grad``
                            -> clip -> optimizer -> what it did, against every row -> corrected where a live objective
                            would rise.
  sketch  sketch_step.py    The same with a sketch in place of each gradient (direction.gram=sketch, factors), then one
                            weighted backward pass; nothing is corrected.

Between two refreshes of the weights (direction.refresh_every) steps of the second and third kind are steps of the
first, with the weights that were found last.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch

from mollm_cli.core.solution import Array
from mollm_cli.engine.batch_losses import Batches, BatchLosses, role_groups
from mollm_cli.engine.gram_step import GramStep
from mollm_cli.engine.refresh import kept_weights
from mollm_cli.engine.result import StepResult
from mollm_cli.engine.sketch_step import SketchStep
from mollm_cli.engine.step_state import StepState
from mollm_cli.engine.weighted_step import fixed_step, reused_step


@dataclass(slots=True)
class Stepper(StepState):
    """The state of a run, and how to move it by one step: ``stepper(batches, lr)``.

    Raises ValueError where solver, loss and direction do not go together.
    """

    kind: GramStep | SketchStep | None = field(init=False, default=None)
    """The step in which the solver is given a Gram matrix; None where it reads none."""

    def __post_init__(self) -> None:
        """Choose the kind of step, once for the run."""
        StepState.__post_init__(self)
        if "gram" in self.solver.needs:
            self.direction.check_carries(self.solver.name, self.solver.carries)
            self.kind = GramStep.of(self) if self.direction.gram == "exact" else SketchStep.of(self)

    def __call__(self, batches: Batches, lr: float, record: bool = True) -> StepResult:
        """Take one step. Raises NonFiniteError before the optimizer moves.

        batches: a list of micro-batches per role.
        lr: the learning rate of this step.
        record: measure the first-order changes too. That costs a copy of the parameters (so does direction.guard), and
            a backward pass for each objective that rests.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        # None and not zero: a parameter that no live objective reaches must not move, not even by momentum.
        self.optimizer.zero_grad(set_to_none=True)
        result = self._move(self.losses(batches), record)
        # Shards were written to: the next forward pass must not use what was gathered of them before.
        self.trained.renew()
        return replace(result, after=self._after(batches)) if record and self.direction.verify else result

    def _move(self, losses: BatchLosses, record: bool) -> StepResult:
        if self.kind is None:
            return fixed_step(self, losses)
        # The first step of all, and every refresh_every-th, has no kept weights.
        kept = kept_weights(self.remembered, self.names, self.direction.refresh_every)
        return self.kind(self, losses, record) if kept is None else reused_step(self, losses, kept)

    def _after(self, batches: Batches) -> Array:
        """The losses of ``batches`` as they are now; one forward pass per role, and one of the reference if read."""
        losses = self.losses(batches)
        with torch.no_grad():
            for group in role_groups(self.loss.objectives):
                for _ in losses.of(group):
                    pass
        return losses.totals()[0]
