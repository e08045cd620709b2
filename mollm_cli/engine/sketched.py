"""The step that keeps no gradient beside ``.grad``: sketches first, then a weighted sum backward.

  forward a role -> one backward per objective, each gradient reduced to its sketch as it appears and freed
  -> Gram matrix of the sketches -> one weight each -> sum_i w_i L_i backward into ``.grad``.
Two things spare passes and no memory. The first role with one objective is sent backward once: its gradient lies where
the direction will be, and is scaled. The graph of the last role, if its batch came in one piece, is kept until the
weights are known. Other roles are forwarded again: with all graphs kept, activations of all roles would exist at one
time. So there is never more than the activations of one role and one gradient, as in a step with fixed weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from mollm_cli.core.solution import Array
from mollm_cli.engine.batch_losses import BatchLosses, Group, Values, role_groups, weighted
from mollm_cli.gradients.descent import Descent
from mollm_cli.gradients.inner import Row
from mollm_cli.gradients.sketch import CountSketch, GradientSketches, sketched
from mollm_cli.gradients.trained import Trained

Resting = Callable[[BatchLosses, Group], NDArray[np.bool_]]
"""Who of a group needs no backward pass, [m], after its forward pass."""


@dataclass(slots=True)
class Sketched:
    """The sketches; what is left to be sent backward, group by group, and what need not be.

    held: the one objective whose gradient is there, None: none. graph: the values of the last group, with their graph;
    [] where they are to be had by another forward pass only.
    """

    sketches: GradientSketches
    groups: list[Group]
    held: tuple[int, Row] | None = None
    graph: Values = field(default_factory=list)


def sketch_gradients(trained: Trained, losses: BatchLosses, sketch: CountSketch, resting: Resting) -> Sketched:
    """One backward pass for every objective that does not rest; the sketches are those of all processes' batches."""
    groups, m = role_groups(losses.objectives), len(losses.objectives)
    collect = trained.collect if trained.sharded else None
    found = Sketched(GradientSketches(trained.parameters, m, sketch, collect), list(groups))
    for group in groups:
        alone = found.held is None and len(group[0]) == 1
        last = not alone and group is groups[-1] and losses.at_once(group)
        for values in losses.of(group):
            rests = resting(losses, group)
            _send_back([(i, value) for i, value in values if not rests[i]], found.sketches, alone, last)
            found.graph = values if last else []
        if alone:
            found.held = (group[0][0], found.sketches.take(group[0][0]))
            found.groups.remove(group)
    trained.world.sum_(found.sketches.totals)
    return found


def _send_back(wanted: Values, sketches: GradientSketches, alone: bool, last: bool) -> None:
    """alone: into ``.grad``; else each to its sketch, the graph kept for the next one, and after them if ``last``."""
    for k, (i, value) in enumerate(wanted):
        if alone:
            value.backward()
            continue
        with sketches.collecting(i):
            value.backward(retain_graph=last or k < len(wanted) - 1)


def send_weighted_back(losses: BatchLosses, weights: Array, found: Sketched) -> None:
    """Put sum_i weights_i g_i into ``.grad``, role by role; ``found`` is used up."""
    _put_back(weights, found)
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


def _put_back(weights: Array, found: Sketched) -> None:
    """The gradient that is held into ``.grad``, scaled, and nowhere else: freed where its weight is 0."""
    if found.held is not None:
        i, row = found.held
        for parameter, part in zip(found.sketches.parameters, row, strict=True):
            parameter.grad = None if part is None or weights[i] == 0 else part.mul_(float(weights[i]))
        found.held = None


def descend_by_sketch(
    optimizer: torch.optim.Optimizer, trained: Trained, sketches: GradientSketches, record: bool
) -> Descent | None:
    """Let the optimizer step; by s(theta_new) - s(theta_old), what it did to each objective, without a copy.

    Nothing is corrected: a correction is made of the gradients that nobody keeps.
    """
    if not record:
        optimizer.step()
        return None
    before = sketched(sketches.sketch, trained.parameters)
    optimizer.step()
    change = sketched(sketches.sketch, trained.parameters).sub_(before)
    raw, length = sketches.against(trained.sum_sketch(change))
    return Descent(raw, raw, length, error=sketches.sketch.error)
