"""The first-order change of each objective by a step, and the smallest correction after which none rises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mollm_cli.core.nonnegative import smallest_correction
from mollm_cli.core.solution import Array
from mollm_cli.gradients.inner import (
    Changes,
    GradientRow,
    Metric,
    ParameterChange,
    Sums,
    first_order,
    grams,
    inner,
    raised,
)

SLACK = 1e-7
"""A cos(g_i, Delta) below this is no rise but the rounding of Delta and of its inner products in float32."""
LONGER = 2.0
"""A correction may become this many times longer for the rows without a rate."""
MISSED = 1e-3
"""The share of a rate that may be missed: the next step asks for it again."""
ROUNDS = 8
"""Correcting the parameters rounds them; the rise that is left is corrected again, this many times at the most."""
BEYOND = 4
"""The next correction aims beyond 0 by this many times the rise that is left, and so on from one to the next: a
correction below the spacing of floats would be lost entirely."""


@dataclass(frozen=True, slots=True)
class Descent:
    """The change Delta of one step, held against the objectives' gradients g_i of its batch.

    raw [m]: g_i . Delta of the optimizer's step.
    realised [m]: g_i . Delta' after the correction.
    norm: |Delta|.
    correction: |Delta' - Delta| / |Delta|, 0 where none was needed, 1 where Delta = 0; None where there is no guard.
    predicted [m]: g_i . Delta by the optimizer's rule; None where it was not asked for or is not known.
    error: the standard error of raw and realised over |g_i||Delta|; 0 where they are exact.
    """

    raw: Array
    realised: Array
    norm: float
    correction: float | None = None
    predicted: Array | None = None
    error: float = 0.0

    def rising(self, norms: Array, live: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Live objectives that rose to first order, [m], by more than rounding, or than twice the standard error."""
        slack = max(SLACK, 2 * self.error)
        found: NDArray[np.bool_] = live & (self.realised > slack * norms * self.norm)
        return found


@torch.no_grad()
def guarded(
    parameters: Sequence[torch.nn.Parameter],
    before: Sequence[torch.Tensor],
    rows: Sequence[GradientRow],
    norms: Array,
    live: NDArray[np.bool_] | None,
    metric: Metric,
    rule: Changes | None = None,
    sums: Sums | None = None,
    rates: Array | None = None,
) -> Descent:
    """Hold theta - before against the rows, and correct ``parameters`` in place where a live objective would rise.

    rows, norms [m]: the gradients of the batch that was stepped on, and |g_i|.
    live [m]: who may not rise; None: nothing is corrected. rates [m]: by how much they have to fall; None: by nothing.
    metric: the optimizer's P. rule: the change as the optimizer's rule has it, for ``predicted``.
    sums: adds inner products up where ``parameters`` and rows are one process's part.

    The correction -P sum_i l_i g_i over live i is the smallest one in the metric P^-1 (``smallest_correction``) after
    which g_i . Delta' <= -rate_i. In weights of half precision it is rounded like everything else; ``realised`` tells.
    """

    def moved(k: int) -> ParameterChange:
        return ParameterChange(torch.sub, parameters[k].detach(), before[k])

    # Both changes in one pass over the rows, which are larger than anything else here.
    found, lengths = first_order(rows, parameters, [moved] if rule is None else [moved, rule], sums)
    raw, length, predicted = found[0], float(lengths[0]), None if rule is None else found[1]
    if live is None:  # nobody may be corrected: the step was only looked at
        return Descent(raw, raw, length, predicted=predicted)
    rates = np.zeros(len(rows)) if rates is None else rates
    held = [int(i) for i in np.flatnonzero(live)]
    # A step without a rise, which most are, costs no Gram matrix.
    if not _risen(raw, rates, norms, length, held):
        return Descent(raw, raw, length, 0.0, predicted)
    whole = grams([rows[i] for i in held], parameters, metric=metric, sums=sums)[0]
    held, matrix = who_counts(held, whole, raw, rates)
    now, corrected, beyond = raw, 0.0, np.zeros(len(rows))
    for _ in range(ROUNDS):
        multipliers = smallest_correction(matrix, (now + rates + beyond)[held])
        corrected += _subtract(parameters, [rows[i] for i in held], multipliers, metric, sums)
        now = first_order(rows, parameters, [moved], sums)[0][0]
        if not _risen(now, rates, norms, max(length, corrected), held):
            break
        # Rounding has eaten a part of the correction where a rise is left: aim further there, and only there.
        beyond = np.where(now + rates > MISSED * rates, BEYOND * (beyond + now + rates), beyond)
    # Of a step that the optimizer did not make (its objectives rest) the correction is all there is.
    return Descent(raw, now, length, corrected / length if length > 0 else 1.0, predicted)


def _risen(changes: Array, rates: Array, norms: Array, length: float, held: Sequence[int]) -> bool:
    """True where one of ``held`` falls by less than its rate, by more than rounding."""
    slack = SLACK * norms * length + MISSED * rates
    return bool((changes + rates > slack)[list(held)].any())


def who_counts(held: list[int], matrix: Array, changes: Array, rates: Array) -> tuple[list[int], Array]:
    """The rows that a correction heeds, with their matrix: all of ``held``, or those with a rate, if the others oppose.

    held [k]: numbers of rows. matrix [k, k]: A_ij = g_i' P g_j of those. changes [m]: g_i . Delta. rates [m]: by how
    much each has to fall.

    A row with a rate falls by it whatever the others say. They are heeded too as long as that does not make the
    correction ``LONGER`` times the sum of the two that would do for each alone: opposite rows would make it endless.
    """

    def part(on: NDArray[np.intp]) -> Array:
        return matrix[np.ix_(on, on)]

    def size(above: Array, on: NDArray[np.intp]) -> float:
        multipliers = smallest_correction(part(on), above[on])
        return float(np.sqrt(max(float(multipliers @ part(on) @ multipliers), 0.0)))

    change, rate = changes[held], rates[held]
    every, rated = np.arange(len(held)), np.flatnonzero(rate > 0)
    if len(rated) in (0, len(every)):
        return held, matrix
    apart = size(change + rate, rated) + size(change, every)
    kept = every if size(change + rate, every) <= LONGER * apart else rated
    return [held[k] for k in kept], part(kept)


def _subtract(
    parameters: Sequence[torch.nn.Parameter],
    rows: Sequence[GradientRow],
    multipliers: Array,
    metric: Metric,
    sums: Sums | None,
) -> float:
    """theta <- theta - P sum_i multipliers_i g_i, in place; returns the length of the difference."""
    squares: list[torch.Tensor] = []
    for k, parameter in enumerate(parameters):
        step: torch.Tensor | None = None
        for row, multiplier in zip(rows, multipliers, strict=True):
            part = row[k]
            if part is not None and multiplier > 0:
                part = raised(part, parameter.device)  # rows may be kept in half precision, or on the host
                step = part * float(multiplier) if step is None else step.add_(part, alpha=float(multiplier))
        if step is not None:
            step.mul_(metric(k))
            parameter.sub_(step)
            squares.append(inner(step, step))
    if sums is None:
        return float(torch.stack(squares).sum().sqrt()) if squares else 0.0
    return float(np.sqrt(sums(np.array([float(torch.stack(squares).sum()) if squares else 0.0]))[0]))
