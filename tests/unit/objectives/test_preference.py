"""DPO's objective against a loop over pairs, by hand, at the start, by finite differences, and under padding."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from mollm_cli.core.outputs import Outputs
from mollm_cli.models.forward import forward
from mollm_cli.models.reference import Reference
from mollm_cli.objectives.preference import preference
from tests.support.tiny import batch, llama


def outputs(sequence, seed, v=5, sequences=None):
    g = torch.Generator().manual_seed(seed)
    n = len(sequence)
    logits = torch.randn(n, v, generator=g, dtype=torch.float64).requires_grad_()
    frozen = torch.randn(n, v, generator=g, dtype=torch.float64)
    labels = torch.randint(0, v, (n,), generator=g)
    return Outputs(logits, labels, torch.tensor(sequence), sequences or max(sequence) + 1, frozen)


WIN, LOSE = (0, 1, 1, 1), (0, 0, 1)


def slow(win, lose, beta):
    """Pair by pair, token by token."""

    def ratio(out, i):
        total = 0.0
        for z, q, y, owner in zip(out.logits, out.reference_logits, out.labels, out.sequence, strict=True):
            if owner == i:
                total += (z.log_softmax(-1)[y] - q.log_softmax(-1)[y]).item()
        return total

    return sum(math.log(1 + math.exp(-beta * (ratio(win, i) - ratio(lose, i)))) for i in range(lose.sequences))


@pytest.mark.parametrize("beta", [0.1, 1.0, 5.0])
def test_equals_a_loop_over_pairs(beta):
    win, lose = outputs(WIN, 0), outputs(LOSE, 1)
    value, count = preference(win, lose, beta)
    assert (value.item(), count) == (pytest.approx(slow(win, lose, beta), rel=1e-12), 2)


def test_by_hand():
    # the other answer became twice as likely, the one to forget half: D = log 2 and -log 2, beta 1: log(1 + 1/4)
    def of(p, reference):
        logits = torch.tensor([[p, 1 - p]], dtype=torch.float64).log()
        frozen = torch.tensor([[reference, 1 - reference]], dtype=torch.float64).log()
        return Outputs(logits, torch.tensor([0]), torch.tensor([0]), 1, frozen)

    assert preference(of(0.5, 0.25), of(0.25, 0.5), 1.0)[0].item() == pytest.approx(math.log(1.25), rel=1e-12)


def test_gradients_of_both_sides_by_finite_differences():
    win, lose = outputs(WIN, 2), outputs(LOSE, 3)

    def of(z, y):
        return preference(dataclasses.replace(win, said=z), dataclasses.replace(lose, said=y), 0.7)[0]

    assert torch.autograd.gradcheck(of, (win.logits, lose.logits))


@pytest.mark.parametrize("beta", [0.1, 2.0])
def test_at_the_start_it_is_log_2_a_pair_and_pulls_with_half_of_beta(beta):
    model = llama(dtype=torch.float64)
    reference, win_rows, lose_rows = Reference(model, "copy"), batch(1, prefix="a"), batch(2, prefix="f")
    win, lose = (forward(model, rows, reference) for rows in (win_rows, lose_rows))
    value, count = preference(win, lose, beta)
    value.backward()
    assert value.item() == pytest.approx(count * math.log(2), rel=1e-12)
    first = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
    model.zero_grad()
    total = 0
    for rows, sign in ((win_rows, -1), (lose_rows, 1)):
        out = forward(model, rows)
        picked = out.logits.log_softmax(-1).gather(-1, out.labels[:, None])
        total = total + sign * beta / 2 * picked.sum()
    total.backward()
    plain = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
    assert torch.allclose(first, plain, rtol=0, atol=1e-12) and plain.abs().max() > 1e-3


def test_masked_tokens_and_padding_change_nothing():
    model, reference = llama(dtype=torch.float64), Reference(llama(seed=1, dtype=torch.float64), "copy")
    wider, ends = torch.nn.functional.pad, []
    for extra in (0, 5):
        said = []
        for seed in (1, 2):
            rows = batch(seed)
            rows = dataclasses.replace(
                rows,
                input_ids=wider(rows.input_ids, (0, extra), value=7),
                attention_mask=wider(rows.attention_mask, (0, extra)),
                labels=wider(rows.labels, (0, extra), value=-100),
            )
            said.append(forward(model, rows, reference))
        model.zero_grad()
        value, _ = preference(*said, beta=0.5)
        value.backward()
        ends.append((value.item(), torch.cat([p.grad.reshape(-1) for p in model.parameters()])))
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-10)
    assert torch.allclose(ends[0][1], ends[1][1], atol=1e-10) and ends[0][1].abs().max() > 1e-6


def test_an_order_of_rows_that_is_not_the_same_would_show():
    win, lose = outputs(WIN, 0), outputs(LOSE, 1)
    turned = dataclasses.replace(win, sequence=1 - win.sequence)
    assert preference(turned, lose, 1.0)[0].item() != pytest.approx(preference(win, lose, 1.0)[0].item(), rel=1e-3)


def test_refusals():
    win, lose = outputs(WIN, 0), outputs(LOSE, 1)
    with pytest.raises(ValueError, match="preference compares row by row, found 3 rows against 2"):
        preference(outputs(WIN, 0, sequences=3), lose, 0.1)
    with pytest.raises(ValueError, match="preference needs reference logits"):
        preference(win, dataclasses.replace(lose, reference=None), 0.1)
