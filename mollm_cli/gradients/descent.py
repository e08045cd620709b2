"""What a step did to each objective, to first order, and the smallest correction after which none rises."""

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
"""cos(g_i, Delta) below this is no rise but the rounding of Delta and of its inner products in float32."""
ROUNDS = 8
"""Parameters are rounded when they are corrected; what that leaves is corrected again, this often at the most."""
BEYOND = 4
"""What a correction has left, the next one aims beyond 0 by this many times as much, and on: one that is below the
spacing of floats is lost entirely."""


@dataclass(frozen=True, slots=True)
class Descent:
    """The change of one step against the objectives' gradients of its batch.

    raw [m]: g_i . Delta of what the optimizer did; realised [m]: g_i . Delta' after the correction. norm: |Delta|;
    correction: |Delta' - Delta| / |Delta|, 0 where none was needed, None where nobody looked. predicted [m]: that of
    the optimizer's rule, None where it was not asked for or is not known. error: standard error of raw and realised
    over |g_i||Delta|; 0 where they are exact.
    """

    raw: Array
    realised: Array
    norm: float
    correction: float | None = None
    predicted: Array | None = None
    error: float = 0.0

    def rising(self, norms: Array, live: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which live objectives rose to first order, [m], by more than rounding, or than twice the standard error."""
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
) -> Descent:
    """Hold theta - before against the rows, and correct ``parameters`` in place where a live objective would rise.

    rows, norms, live [m]: the gradients of the batch that was stepped on, |g_i|, and who may not rise; live None only
    looks. The correction -P sum_i l_i g_i over live i is the smallest in the metric P^-1 (``smallest_correction``); the
    optimizer's own state is left alone. In weights of half precision the correction is rounded like everything else;
    what came of it is in ``realised``. rule: the change as the optimizer's rule has it, for ``predicted``.
    sums: where ``parameters`` and rows are one process's part of them.
    """

    def moved(k: int) -> ParameterChange:
        return ParameterChange(torch.sub, parameters[k].detach(), before[k])

    found, lengths = first_order(rows, parameters, [moved] if rule is None else [moved, rule], sums)
    raw, length, predicted = found[0], float(lengths[0]), None if rule is None else found[1]
    if live is None:
        return Descent(raw, raw, length, predicted=predicted)
    now, corrected, lines = raw, 0.0, [int(i) for i in np.flatnonzero(live)]
    matrix: Array | None = None
    beyond = np.zeros(len(lines))
    for _ in range(ROUNDS):
        if not (now[lines] > SLACK * norms[lines] * length).any():
            break
        held = [rows[i] for i in lines]
        matrix = grams(held, parameters, metric=metric, sums=sums)[0] if matrix is None else matrix
        corrected += _subtract(parameters, held, smallest_correction(matrix, now[lines] + beyond), metric, sums)
        now = first_order(rows, parameters, [moved], sums)[0][0]
        beyond = np.where(now[lines] > 0, BEYOND * (beyond + now[lines]), beyond)
    return Descent(raw, now, length, corrected / length if length > 0 else 0.0, predicted)


def _subtract(
    parameters: Sequence[torch.nn.Parameter],
    rows: Sequence[GradientRow],
    multipliers: Array,
    metric: Metric,
    sums: Sums | None,
) -> float:
    """theta <- theta - P sum_i multipliers_i g_i, in place; the length of what was subtracted."""
    squares: list[torch.Tensor] = []
    for k, parameter in enumerate(parameters):
        step: torch.Tensor | None = None
        for row, multiplier in zip(rows, multipliers, strict=True):
            part = row[k]
            if part is not None and multiplier > 0:
                part = raised(part, parameter.device)
                step = part * float(multiplier) if step is None else step.add_(part, alpha=float(multiplier))
        if step is not None:
            step.mul_(metric(k))
            parameter.sub_(step)
            squares.append(inner(step, step))
    if sums is None:
        return float(torch.stack(squares).sum().sqrt()) if squares else 0.0
    return float(np.sqrt(sums(np.array([float(torch.stack(squares).sum()) if squares else 0.0]))[0]))
