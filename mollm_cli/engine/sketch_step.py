"""The step that makes no gradient per objective: sketches first, then the direction alone.

  forward a role -> one backward pass per objective, each gradient reduced to its sketch as it appears: a linear layer's
  from its cotangents and inputs, so that their product is never taken
  -> Gram matrix of the sketches -> one weight each -> sum_i w_i g_i into ``.grad`` -> clip -> optimizer.
The first role with one objective is sent backward once: its gradient lies where the direction will be, and is scaled.
The other roles' part of the direction comes about as direction.gram says:
  factors: the cotangents of a role whose batch came in one piece are kept until the weights are known; then one product
    per layer is taken, of their weighted sum.
  sketch: sum_i w_i L_i is sent backward. The graph of the last role, if its batch came in one piece, is kept until
    then. Other roles are forwarded again: with all graphs kept, activations of all roles would exist at one time. So
    there is never more than the activations of one role and one gradient, as in a step with fixed weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from mollm_cli.core.solution import Array
from mollm_cli.engine.batch_losses import BatchLosses, RoleGroup, Values, role_groups, send_back, weighted
from mollm_cli.engine.refresh import remember
from mollm_cli.engine.result import StepResult
from mollm_cli.engine.step_state import StepState, nobody
from mollm_cli.gradients.descent import Descent
from mollm_cli.gradients.direction import choose
from mollm_cli.gradients.gradient_rows import require_finite
from mollm_cli.gradients.gradient_sketches import GradientSketches, Images
from mollm_cli.gradients.inner import GradientRow
from mollm_cli.gradients.kept_factors import KeptFactors
from mollm_cli.gradients.matrix_sketch import MatrixSketch
from mollm_cli.gradients.taps import Taps
from mollm_cli.gradients.trained import Trained

Resting = Callable[[BatchLosses, RoleGroup], NDArray[np.bool_]]
"""Tells who of a group needs no backward pass, [m], after its forward pass."""


@dataclass(slots=True)
class SketchStep:
    """Sketches -> Gram matrix -> who is live -> weights -> one weighted gradient -> optimizer.

    sketch: the map that stands for gradients; the same in every step.
    taps: the linear layers whose gradients it takes as factors.
    """

    sketch: MatrixSketch
    taps: Taps

    @classmethod
    def of(cls, state: StepState) -> SketchStep:
        """For the parameters and the direction of ``state``."""
        trained = state.trained
        taps = Taps(state.model, trained.whole)
        shapes, device = [p.shape for p in trained.whole], state.parameters[0].device
        buckets = state.direction.sketch_buckets
        return cls(MatrixSketch(shapes, taps.matrices, buckets, device, trained.starts), taps)

    def __call__(self, state: StepState, losses: BatchLosses, record: bool) -> StepResult:
        """Take the step; ``record``: tell what it did to every objective, those that rest too."""
        with self.taps.open():
            return self._taken(state, losses, record)

    def _taken(self, state: StepState, losses: BatchLosses, record: bool) -> StepResult:
        # Factors of shards would have to be summed over processes before they are multiplied: they are not kept there.
        keep = state.direction.gram == "factors" and not state.trained.sharded
        resting = nobody if record else state.resting
        found = sketch_gradients(state.trained, losses, self.sketch, self.taps, resting, keep)
        totals, probability = losses.totals()
        gram = found.sketches.gram()
        require_finite(np.diag(gram), state.names, "gradient")
        live = state.liveness.live(np.sqrt(np.maximum(np.diag(gram), 0.0)), totals, probability, losses.starts())
        choice = choose(gram, totals, live, state.solver, state.direction, state.remembered)
        send_weighted_back(state.trained, losses, choice.weights, found)
        state.trained.settle()
        norm = state.clipping.clip(totals)
        state.paced(totals, bool(live.any()))
        state.settled(live)
        descent = descend_by_sketch(state.optimizer, state.trained, found.sketches, record)
        remember(state.remembered, state.names, choice, state.direction.refresh_every)
        return StepResult(
            totals, choice.weights, norm, probability, losses.tokens, choice.status, choice, gram, descent
        )


@dataclass(slots=True)
class Sketched:
    """The sketches of one step, and how each role's part of the direction will come about.

    groups: what is still to be sent backward once the weights are known.
    held: the one objective whose gradient is there, with it; None: there is none.
    kept: gradients that are there as factors; None: none are kept.
    graph: the values of the last group with their graph; [] where only another forward pass can give them.
    """

    sketches: GradientSketches
    groups: list[RoleGroup]
    held: tuple[int, GradientRow] | None = None
    kept: KeptFactors | None = None
    graph: Values = field(default_factory=list)


def sketch_gradients(
    trained: Trained, losses: BatchLosses, sketch: MatrixSketch, taps: Taps, resting: Resting, keep: bool
) -> Sketched:
    """One backward pass for every objective that does not rest; the sketches are those of all processes' batches.

    keep: whether the factors of a role that came in one piece are kept.
    """
    groups, m = role_groups(losses.objectives), len(losses.objectives)
    collect = trained.collect if trained.sharded else None
    sketches = GradientSketches(trained.parameters, m, sketch, collect, taps)
    found = Sketched(sketches, list(groups), kept=KeptFactors() if keep else None)
    for group in groups:
        # A role with one objective needs no second pass: its gradient is held until its weight is known.
        alone, whole = found.held is None and len(group[0]) == 1, losses.at_once(group)
        kept = found.kept if whole and not alone else None
        # Of the last role the graph itself can wait, since no other role's activations come after it.
        last = whole and not alone and kept is None and group is groups[-1]
        for values in losses.of(group):
            rests = resting(losses, group)
            wanted = [(i, value) for i, value in values if not rests[i]]
            if alone:
                _send_whole(wanted)
            else:
                _send_to_sketches(wanted, sketches, last, kept)
            found.graph = values if last else []
        if alone:
            found.held = (group[0][0], sketches.take(group[0][0]))
        if alone or kept is not None:
            found.groups.remove(group)
    # A sketch is linear, so the sum of all processes' sketches is the sketch of the sum: no gradient is sent.
    trained.world.sum_(sketches.totals)
    return found


def _send_whole(wanted: Values) -> None:
    """Into ``.grad``."""
    for _, value in wanted:
        value.backward()


def _send_to_sketches(wanted: Values, sketches: GradientSketches, last: bool, kept: KeptFactors | None) -> None:
    """Each to its sketch; the graph is kept for the next one, and after all of them if ``last``."""
    for k, (i, value) in enumerate(wanted):
        with sketches.collecting(i, kept):
            value.backward(retain_graph=last or k < len(wanted) - 1)


def send_weighted_back(trained: Trained, losses: BatchLosses, weights: Array, found: Sketched) -> None:
    """Put sum_i weights_i g_i into ``.grad``, role by role; ``found`` is used up."""
    if found.held is not None:
        (i, row), found.held = found.held, None
        # From the end, so that each part is let go of as soon as it is where the direction will be.
        for k in reversed(range(len(row))):
            part = row.pop()
            trained.put_back(k, None if part is None or weights[i] == 0 else part.mul_(float(weights[i])))
        del part
    if found.kept is not None:
        found.kept.add_to(found.sketches.parameters, weights)
    if found.graph:
        # The list goes before the backward pass does: nothing but the sum holds the graph while it is freed.
        total = weighted(found.graph, weights)
        found.graph.clear()
        found.groups.pop()
        if total is not None:
            total.backward()
        del total
    for group in found.groups:
        if any(weights[i] != 0 for i in group[0]):
            for values in losses.again(group):
                send_back(values, weights)


def descend_by_sketch(
    optimizer: torch.optim.Optimizer, trained: Trained, sketches: GradientSketches, record: bool
) -> Descent | None:
    """Let the optimizer step; by s(theta_new) - s(theta_old), what it did to each objective, without a copy.

    Nothing is corrected: a correction is made of the gradients that nobody keeps.
    """
    if not record:
        optimizer.step()
        return None
    sketch = sketches.sketch
    # Sketches of all parameters in place of a copy of them: s is linear, so s(Delta) is their difference.
    before = Images(sketch, trained.parameters)
    optimizer.step()
    change, squares = before.change_to(Images(sketch, trained.parameters))
    raw, length = sketches.against(trained.sum_sketch(change))
    error = sketch.error_of(trained.sums(squares), length**2)
    return Descent(raw, raw, length, error=error)
