"""The step that makes no gradient an objective: sketches first, then the direction alone.

  forward a role -> one backward per objective, its gradient reduced to its sketch as it appears: a linear layer's from
  its cotangents and inputs, so that the product of them is not taken
  -> Gram matrix of the sketches -> one weight each -> sum_i w_i g_i into ``.grad``.
The first role with one objective is sent backward once: its gradient lies where the direction will be, and is scaled.
How the others' part comes about is direction.gram:
  factors: the cotangents of a role whose batch came in one piece are kept until the weights are known; then one product
    a layer is taken, of their weighted sum.
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
from mollm_cli.engine.batch_losses import BatchLosses, RoleGroup, Values, role_groups, weighted
from mollm_cli.gradients.descent import Descent
from mollm_cli.gradients.gradient_sketches import GradientSketches, Images
from mollm_cli.gradients.inner import GradientRow
from mollm_cli.gradients.kept_factors import KeptFactors
from mollm_cli.gradients.matrix_sketch import MatrixSketch
from mollm_cli.gradients.taps import Taps
from mollm_cli.gradients.trained import Trained

Resting = Callable[[BatchLosses, RoleGroup], NDArray[np.bool_]]
"""Who of a group needs no backward pass, [m], after its forward pass."""


@dataclass(slots=True)
class Sketched:
    """The sketches; what is left to be sent backward, group by group, and what need not be.

    held: the one objective whose gradient is there, None: none. kept: what is there as factors. graph: the values of
    the last group, with their graph; [] where they are to be had by another forward pass only.
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

    keep: the factors of what came in one piece.
    """
    groups, m = role_groups(losses.objectives), len(losses.objectives)
    collect = trained.collect if trained.sharded else None
    sketches = GradientSketches(trained.parameters, m, sketch, collect, taps)
    found = Sketched(sketches, list(groups), kept=KeptFactors() if keep else None)
    for group in groups:
        alone, whole = found.held is None and len(group[0]) == 1, losses.at_once(group)
        kept = found.kept if whole and not alone else None
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
    trained.world.sum_(sketches.totals)
    return found


def _send_whole(wanted: Values) -> None:
    """Into ``.grad``."""
    for _, value in wanted:
        value.backward()


def _send_to_sketches(wanted: Values, sketches: GradientSketches, last: bool, kept: KeptFactors | None) -> None:
    """Each to its sketch; the graph is kept for the next one, and after them if ``last``."""
    for k, (i, value) in enumerate(wanted):
        with sketches.collecting(i, kept):
            value.backward(retain_graph=last or k < len(wanted) - 1)


def send_weighted_back(trained: Trained, losses: BatchLosses, weights: Array, found: Sketched) -> None:
    """Put sum_i weights_i g_i into ``.grad``, role by role; ``found`` is used up."""
    if found.held is not None:
        (i, row), found.held = found.held, None
        for k in reversed(range(len(row))):
            part = row.pop()
            trained.put_back(k, None if part is None or weights[i] == 0 else part.mul_(float(weights[i])))
        del part
    if found.kept is not None:
        found.kept.add_to(found.sketches.parameters, weights)
    if found.graph:
        total = weighted(found.graph, weights)
        found.graph.clear()
        found.groups.pop()
        if total is not None:
            total.backward()
        del total
    for group in found.groups:
        if any(weights[i] != 0 for i in group[0]):
            for values in losses.again(group):
                weighted(values, weights).backward()


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
    before = Images(sketch, trained.parameters)
    optimizer.step()
    change, squares = before.change_to(Images(sketch, trained.parameters))
    raw, length = sketches.against(trained.sum_sketch(change))
    error = sketch.error_of(trained.sums(squares), length**2)
    return Descent(raw, raw, length, error=error)
