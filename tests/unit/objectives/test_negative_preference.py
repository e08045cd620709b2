"""NPO's forget objective against a loop over sequences, by hand, at its limits, and in the engine."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mollm_cli.core.outputs import Outputs
from mollm_cli.losses.npo import npo
from mollm_cli.models.forward import forward
from mollm_cli.models.reference import Reference
from mollm_cli.objectives.label_log_probs import label_log_probs
from mollm_cli.objectives.negative_preference import negative_preference
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.padding import same_whatever_the_padding
from tests.support.steps import stepper
from tests.support.tiny import batch, llama, split

FORGET, RETAIN = batch(1, prefix="f"), batch(2, prefix="r")


def outputs(sequence=(0, 0, 1, 2, 2, 2), v=11, seed=0, scale=3.0):
    g = torch.Generator().manual_seed(seed)
    n = len(sequence)
    logits = (torch.randn(n, v, generator=g, dtype=torch.float64) * scale).requires_grad_()
    reference = torch.randn(n, v, generator=g, dtype=torch.float64) * scale
    labels = torch.randint(0, v, (n,), generator=g)
    return Outputs(logits, labels, torch.tensor(sequence), max(sequence) + 1, reference)


def of_probabilities(model, reference, sequence, sequences, dtype=torch.float64):
    """Outputs over two tokens whose label 0 has these log-probabilities under model and reference."""

    def logits(log_probs):
        p = torch.tensor(log_probs, dtype=torch.float64)
        return torch.stack([p, torch.log1p(-p.exp())], dim=1).to(dtype)

    labels = torch.zeros(len(model), dtype=torch.long)
    return Outputs(logits(model).requires_grad_(), labels, torch.tensor(sequence), sequences, logits(reference))


def slow(out: Outputs, beta: float) -> float:
    """One sequence after the other, one token after the other."""
    total = 0.0
    for i in range(out.sequences):
        s = 0.0
        for z, q, y, owner in zip(
            out.logits.tolist(), out.reference_logits.tolist(), out.labels.tolist(), out.sequence.tolist(), strict=True
        ):
            if owner == i:
                p = math.exp(z[y]) / sum(map(math.exp, z))
                r = math.exp(q[y]) / sum(map(math.exp, q))
                s += math.log(p) - math.log(r)
        total += -(2 / beta) * math.log(1 / (1 + math.exp(beta * s)))
    return total


def test_by_hand():
    # one answer of two tokens: p .5 and .25, ref .25 and .25, so s = log 2; another of one, p .25, ref .5: s = -log 2.
    # With beta = 1: -2 log(1 / (1 + 2)) - 2 log(1 / (1 + 1/2)) = 2 log 3 + 2 log 1.5 = 2 log 4.5
    log = math.log
    out = of_probabilities([log(0.5), log(0.25), log(0.25)], [log(0.25), log(0.25), log(0.5)], [0, 0, 1], 2)
    value, count = negative_preference(out, beta=1.0)
    assert (value.item(), count) == (pytest.approx(2 * log(4.5), rel=1e-12), 2)


@pytest.mark.parametrize("beta", [0.1, 1.0, 4.5])
def test_equals_a_loop_over_sequences(beta):
    out = outputs()
    value, count = negative_preference(out, beta)
    assert count == 3
    assert value.item() == pytest.approx(slow(out, beta), rel=1e-12)


def test_gradient_by_finite_differences():
    out = outputs((0, 0, 1), v=5)
    negative_preference(out, 0.3)[0].backward()
    for n in range(3):
        for v in range(5):
            moved = []
            for sign in (1, -1):
                logits = out.logits.detach().clone()
                logits[n, v] += sign * 1e-6
                shifted = Outputs(logits, out.labels, out.sequence, out.sequences, out.reference_logits)
                moved.append(negative_preference(shifted, 0.3)[0].item())
            assert out.logits.grad[n, v].item() == pytest.approx((moved[0] - moved[1]) / 2e-6, abs=1e-7)


@pytest.mark.parametrize("beta", [0.01, 0.1, 5.0])
def test_at_the_start_the_gradient_is_that_of_ascent_on_sequence_sums(beta):
    """d/ds of -(2/beta) log sigmoid(-beta s) at s = 0 is 2/beta * beta/2 = 1, whatever beta."""
    model, grads = llama(dtype=torch.float64), []
    frozen = Reference(model, "copy")
    for ascent in (False, True):
        model.zero_grad()
        out = forward(model, FORGET, frozen)
        value = label_log_probs(out).sum() if ascent else negative_preference(out, beta)[0]
        value.backward()
        grads.append(torch.cat([p.grad.reshape(-1) for p in model.parameters()]))
        if not ascent:
            assert value.item() == pytest.approx(len(FORGET.ids) * 2 / beta * math.log(2), rel=1e-12)
    assert grads[1].abs().max() > 1e-3
    assert torch.allclose(grads[0], grads[1], rtol=0, atol=1e-12)


def test_the_pull_fades_below_the_reference_and_doubles_above_it():
    far, near = math.log(1e-30), math.log(0.9)
    forgotten, learnt = (of_probabilities([a], [b], [0], 1) for a, b in ((far, near), (near, far)))
    slopes = []
    for out in (forgotten, learnt):
        negative_preference(out, 1.0)[0].backward()
        slopes.append(out.logits.grad[0, 0].item() / (1 - out.logits.detach().softmax(-1)[0, 0].item()))
    assert slopes[0] == pytest.approx(2e-30 / 0.9, rel=1e-6)  # 2 sigmoid(s), s = log(1e-30 / .9)
    assert slopes[1] == pytest.approx(2, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("distance", [1e4, -1e4])
def test_large_differences_are_finite_and_never_below_zero(dtype, distance):
    """The label falls, or rises, by 10,000 nats: the value is 0, or 2 s, and the slope 0, or 2."""
    logits = torch.tensor([[-distance, 0.0]], dtype=dtype, requires_grad=True)
    frozen = torch.tensor([[distance, 0.0]], dtype=dtype)
    out = Outputs(logits, torch.tensor([0]), torch.tensor([0]), 1, frozen)
    value, _ = negative_preference(out, 0.1)
    value.backward()
    assert value.item() == pytest.approx(0 if distance > 0 else 2e4, rel=5e-3)
    assert value.item() >= 0
    assert torch.isfinite(logits.grad).all()


def test_a_sequence_without_a_target_counts_and_pulls_at_nothing():
    out = outputs((0, 0, 2))
    value, count = negative_preference(out, 0.1)
    alone, _ = negative_preference(
        Outputs(out.logits, out.labels, torch.tensor([0, 0, 1]), 2, out.reference_logits), 0.1
    )
    assert count == 3
    assert value.item() - alone.item() == pytest.approx(20 * math.log(2), rel=1e-12)


def test_masked_tokens_and_padding_change_nothing():
    same_whatever_the_padding(lambda out: negative_preference(out, 0.1), lambda m, r, rows: forward(m, rows, r))


def test_it_needs_a_reference():
    out = outputs()
    with pytest.raises(ValueError, match="negative_preference needs reference logits.*reference=True"):
        negative_preference(Outputs(out.logits, out.labels, out.sequence, out.sequences), 0.1)


@pytest.mark.parametrize("retain", ["ce", "kl"])
@pytest.mark.parametrize("solver", [WeightedSum, DualSpaceMGDA], ids=lambda s: s.name)
def test_micro_batches_give_the_same_step(retain, solver):
    """Rows of different lengths: a mean of micro-batch means, or a mean over tokens, would show."""
    ends = []
    for size in (len(FORGET.ids), 3, 1):
        model = llama(dtype=torch.float64)
        step = stepper(model, npo(retain=retain), solver())
        torch.manual_seed(3)
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.05 * torch.randn_like(p))
        result = step({"forget": split(FORGET, size), "retain": split(RETAIN, size)}, 0.1)
        ends.append((torch.cat([p.detach().reshape(-1) for p in model.parameters()]), result.losses))
    for other in ends[1:]:
        assert (ends[0][0] - other[0]).abs().max() < 1e-10
        assert np.allclose(ends[0][1], other[1], rtol=1e-12)


def test_the_loss_of_a_step_is_the_mean_over_sequences():
    model = llama(dtype=torch.float64)
    result = stepper(model, npo(beta=0.5), WeightedSum())({"forget": [FORGET], "retain": [RETAIN]}, 0.1)
    assert result.losses[0] == pytest.approx(2 / 0.5 * math.log(2), rel=1e-12)
