"""Every objective, chunk by chunk and whole, in float32 and bfloat16: as near the truth as its roundings allow.

The truth is the objective in float64 of the same rows h [N, H] of the head's input and the same weight W [V, H]. The
bound comes from the steps below, each with its largest error to first order (a sum of n products, added up in any
order, is off by at most n a sum |product|: Higham, Accuracy and Stability of Numerical Algorithms, chapters 3 and 4).
``a`` is the unit roundoff of float32, in which bfloat16's sums and softmaxes run too; ``u`` that of the type in which
results are stored. S_t = log V + 2 max_v (|h| |W|^T)_tv is no less than any |log p_tv|.

  a logit, H products added up                       H a |h| |W|^T, and u of itself
  a token's value: z - max, exp, V added up, log     (V + C) a S_t; an objective adds up at most N of them: N a S_t
  a token's slope ds/dz = w_t (q - p), V added up    (V + C) a w_t (p + q), which is no more than w_t 2 p + |slope|,
                                                     and u of itself
  the gradient by h, V products                      V a |slope| |W|, and u of itself
  the gradient by W, N products chunk by chunk       N a |slope|^T |h|, and u of what there is after every chunk, no
                                                     more than |slope|^T |h|

C = 10 is the number of single operations (exp, log, pow, a product, a quotient), two units in the last place at most
for five of them. How much an objective magnifies an error (SatImp's p^5 that of log p by five) is not written down for
each: the float64 computation is done with every number above moved up or down by its largest error, by chance, and its
end says it. Errors of different numbers are independent, so their squares add up: r, the root of the mean square of
what DRAWS of them are off by. A rounding error lies anywhere between plus and minus its largest, so that a sum of
errors, a vector too, exceeds BEYOND r with a chance of 2 exp(-3 BEYOND^2 / 2) at most (Hoeffding, Pinelis), 3e-6.
"""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from mollm_cli.core.chunked import LinearHead
from mollm_cli.core.outputs import Outputs
from mollm_cli.core.target_states import TargetStates
from mollm_cli.models.reference import Reference
from tests.support.tiny import opt
from tests.unit.objectives.test_chunked_objectives import OBJECTIVES, limited, moved, said

ROWS, C, DRAWS, BEYOND = 5, 10, 8, 3


@dataclasses.dataclass
class Rounding:
    """Stands in for ``Outputs._values`` and moves every number by its largest error, up or down by chance."""

    dtype: torch.dtype
    chance: torch.Generator

    def move(self, exact, sums, stored):
        """``exact`` with an error of ``sums`` units of float32 and ``stored`` units of the type of the results."""
        size = torch.finfo(torch.float32).eps / 2 * sums + torch.finfo(self.dtype).eps / 2 * stored
        return exact + size * (2 * torch.randint(0, 2, exact.shape, generator=self.chance) - 1)

    def logits(self, states):
        """The head's logits, and what all of their products add up to without a sign."""
        exact = states.logits.detach()
        spread = states.hidden.detach().abs() @ states.head.weight.detach().abs().t()
        return self.move(exact, states.hidden.shape[1] * spread, exact.abs()), spread

    def values(self, out, function):
        tokens, vocabulary = len(out.labels), out.said.head.vocabulary
        logits, spread = self.logits(out.said)
        reference = None if out.reference is None else self.logits(out.reference)[0]
        largest = math.log(vocabulary) + 2 * spread.amax(-1)
        if out.said.hidden.requires_grad:
            logits.requires_grad_()
        with torch.enable_grad():
            exact = function(logits, out.labels, reference)
        value = self.move(exact.detach(), (vocabulary + C + tokens) * largest, 0)
        return _Pulled.apply(out.said.hidden, out.said.head.weight, value, logits, exact, self)


class _Pulled(torch.autograd.Function):
    """The moved values; the backward goes through the head with every step of it moved."""

    @staticmethod
    def forward(ctx, rows, weight, value, logits, exact, rounding):
        ctx.known = rows, weight, logits, exact, rounding
        return value

    @staticmethod
    def backward(ctx, upper):
        rows, weight, logits, exact, rounding = ctx.known
        tokens, vocabulary = logits.shape
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(exact, logits, upper)
        both = 2 * upper.abs()[:, None] * logits.detach().softmax(-1) + slope.abs()
        slope = rounding.move(slope, (vocabulary + C) * both, slope.abs())
        by_rows, by_weight = slope @ weight, slope.t() @ rows
        all_rows, all_weight = slope.abs() @ weight.abs(), slope.abs().t() @ rows.abs()
        return (
            rounding.move(by_rows, vocabulary * all_rows, by_rows.abs()),
            rounding.move(by_weight, tokens * all_weight, math.ceil(tokens / ROWS) * all_weight),
            *[None] * 4,
        )


def states(given, dtype):
    """The same rows and weight in ``dtype``, apart from the model that they come from."""
    rows, weight = (x.detach().to(dtype).requires_grad_() for x in (given.hidden, given.head.weight))
    return TargetStates(rows, LinearHead(weight))


def measured(objective, outputs, dtype, whole):
    """The objective's value, and its gradient by the rows and the weight of every role that it reads."""
    leaves, given = [], {}
    for role, out in outputs.items():
        own, frozen = states(out.said, dtype), None if out.reference is None else states(out.reference, dtype)
        leaves += [own.hidden, own.head.weight]
        if whole:
            own, frozen = own.logits, None if frozen is None else frozen.logits.detach()
        given[role] = dataclasses.replace(out, said=own, reference=frozen)
    value, _ = objective.function(given)
    found = torch.autograd.grad(value, leaves)
    return value.item(), torch.cat([gradient.double().reshape(-1) for gradient in found])


def off(found, truth):
    return torch.tensor([abs(found[0] - truth[0]), (found[1] - truth[1]).norm()], dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_chunks_and_the_whole_are_as_near_the_truth_as_their_roundings_allow(name, dtype, monkeypatch):
    limited(monkeypatch, ROWS)
    objective, model = OBJECTIVES[name], opt(dtype=dtype)
    reference = Reference(model, "copy")
    outputs = said(objective, moved(model), reference)
    chunks, whole = (measured(objective, outputs, dtype, whole) for whole in (False, True))
    truth = measured(objective, outputs, torch.float64, whole=True)
    rounding, draws = Rounding(dtype, torch.Generator().manual_seed(0)), []
    with monkeypatch.context() as patched:
        patched.setattr(Outputs, "_values", lambda out, function: rounding.values(out, function))
        for _ in range(DRAWS):
            draws.append(off(measured(objective, outputs, torch.float64, whole=False), truth))
    bound = BEYOND * torch.stack(draws).square().mean(0).sqrt()
    assert (off(chunks, truth) <= bound).all()
    assert (off(whole, truth) <= bound).all()
