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

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from mollm_cli.core.solution import Array, Status
from mollm_cli.engine.batch_losses import Batches, BatchLosses, role_groups
from mollm_cli.engine.gram_step import GramStep
from mollm_cli.engine.pace import FACTOR, FIRST, STEPS
from mollm_cli.engine.refresh import kept_weights
from mollm_cli.engine.result import StepResult
from mollm_cli.engine.sketch_step import SketchStep
from mollm_cli.engine.step_state import StepState
from mollm_cli.engine.weighted_step import fixed_step, reused_step
from mollm_cli.optimizers.moved import MovedShare


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
        first = self.pace is not None and FACTOR not in self.remembered
        before = self._before() if first else []
        moved = MovedShare(self.parameters) if record else None
        result = self._move(self.losses(batches), record)
        if self.pace is not None and result.status is not Status.RESTING:
            if first:
                self.factor = self.pace.bracket(partial(self._drift, batches, result), self.parameters, before)
                self.remembered[FIRST] = self.factor
            # The step is taken: from here on, and not before, its length is remembered.
            self.remembered |= {FACTOR: self.factor, STEPS: self.remembered.get(STEPS, 0.0) + 1}
        if moved is not None:
            result = replace(result, moved=moved())
        # Shards were written to: the next forward pass must not use what was gathered of them before.
        self.trained.renew()
        result = replace(result, learning_rate=lr * self.factor)
        return replace(result, after=self._after(batches)) if record and self.direction.verify else result

    def _move(self, losses: BatchLosses, record: bool) -> StepResult:
        if self.kind is None:
            return fixed_step(self, losses)
        # The first step of all, and every refresh_every-th, has no kept weights.
        kept = kept_weights(self.remembered, self.names, self.direction.refresh_every)
        return self.kind(self, losses, record) if kept is None else reused_step(self, losses, kept)

    def _before(self) -> list[torch.Tensor]:
        """The parameters as they are, in the host's memory: in the guard's own copy, where that stands there."""
        if isinstance(self.kind, GramStep) and self.kind.before.wanted:
            return self.kind.before.copied()
        return [p.detach().to("cpu", copy=True) for p in self.parameters]

    def _drift(self, batches: Batches, result: StepResult) -> float:
        """The KL that the step has added, on its own batch, in nats per token."""
        self.trained.renew()
        divergent = [i for i, o in enumerate(self.loss.objectives) if o.divergence]
        return float((self._after(batches, divergent) - result.losses)[divergent].max())

    def _after(self, batches: Batches, wanted: Sequence[int] | None = None) -> Array:
        """The losses of ``batches`` as they are now, [m]; one forward pass per role that is read.

        wanted: the objectives that are asked for; None: all. Others may be nan.
        """
        losses = self.losses(batches)
        found = np.full(len(self.names), np.nan)
        with torch.no_grad():
            for group in role_groups(self.loss.objectives):
                if wanted is None or set(wanted) & set(group[0]):
                    for _ in losses.of(group):
                        pass
                    found = np.where(np.isnan(found), losses.so_far(group)[0], found)
        return found
