"""What an optimizer did by its rule, and its metric: torch's own optimizers are the twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mollm_cli.gradients.inner import ParameterChange, first_order, grams
from mollm_cli.optimizers.adam import AdamRows, applied, preconditioner
from mollm_cli.optimizers.rules import AdamW

OPTIMIZERS = {
    "adamw": lambda p: torch.optim.AdamW(p, 1e-2, fused=True, weight_decay=0.1),
    "adamw, no momentum": lambda p: AdamW(1e-2, (0.0, 0.99)).build(p),
    "sgd": lambda p: torch.optim.SGD(p, 1e-2),
    "sgd, decay": lambda p: torch.optim.SGD(p, 1e-2, weight_decay=0.1),
    "sgd, momentum, decay": lambda p: torch.optim.SGD(p, 1e-2, 0.9, weight_decay=0.1),
}


def parameters(dtype=torch.float64):
    torch.manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, dtype=dtype)) for shape in ((3, 2), (4,), (2,))]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_rule_is_what_torch_did(name):
    kept = parameters()
    optimizer = OPTIMIZERS[name](kept)
    for step in range(4):
        torch.manual_seed(step + 1)
        for p in kept[:2]:  # the third never has a gradient
            p.grad = torch.randn_like(p)
        before = [p.detach().clone() for p in kept]
        optimizer.step()
        change = applied(optimizer, kept, before, lambda k: kept[k].grad is not None)
        assert change(2) is None
        assert torch.equal(kept[2], before[2])
        for k in range(2):
            by_rule = change(k).formula(*change(k).operands)
            assert torch.allclose(kept[k] - before[k], by_rule, rtol=1e-9, atol=1e-15)


def test_no_rule_for_an_optimizer_that_is_not_known():
    assert applied(torch.optim.RMSprop(parameters(), 1e-2), parameters(), parameters(), lambda k: True) is None


def test_the_metric_is_that_of_the_step_just_taken():
    """Without momentum and decay AdamW's step is -lr P d."""
    kept = parameters()
    optimizer = OPTIMIZERS["adamw, no momentum"](kept)
    for _ in range(3):
        for p in kept[:2]:
            p.grad = torch.randn_like(p)
        before = [p.detach().clone() for p in kept]
        optimizer.step()
        diagonal = preconditioner(optimizer, kept)
        for k in range(2):
            assert torch.allclose(kept[k] - before[k], -1e-2 * diagonal(k) * kept[k].grad, rtol=1e-9)
    assert diagonal(2) == 0.0  # never moved
    assert preconditioner(OPTIMIZERS["sgd"](kept), kept)(0) == 1.0


def test_a_coordinate_that_was_never_moved_does_not_rule_the_metric():
    p = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.AdamW([p], 1e-2)
    p.grad = torch.tensor([1.0, -2.0, 0.0])
    optimizer.step()
    assert preconditioner(optimizer, [p])(0).tolist() == pytest.approx([1.0, 0.5, 0.0])


def rows_of(step, kept, m=3):
    generator = torch.Generator().manual_seed(step)
    return [[torch.randn(p.shape, dtype=p.dtype, generator=generator) for p in kept] for _ in range(m)]


def known(tensors):
    return lambda k: ParameterChange(lambda x: x, tensors[k])


@pytest.mark.parametrize("betas", [(0.0, 0.999), (0.9, 0.999)])
def test_the_gram_matrix_in_adams_metric_is_exact_for_the_very_step(betas):
    """-lr (1 - b1) / (1 - b1^t) (G_P w)_i is what d does to objective i, whatever w; the rest is momentum."""
    kept, lr = parameters(), 1e-2
    optimizer = torch.optim.AdamW(kept, lr, betas, weight_decay=0.0)
    for step in range(1, 5):
        rows = rows_of(step, kept)
        adam = AdamRows(optimizer, kept, rows, np.array([0.5, 2.0, 1.0]))
        gram = grams(rows, kept, metric=adam.metric)[0]
        weights = np.random.default_rng(step).standard_normal(3)
        for k, p in enumerate(kept):
            p.grad = sum(float(w) * row[k] for w, row in zip(weights, rows, strict=True))
        momentum = [optimizer.state[p]["exp_avg"].clone() if step > 1 else torch.zeros_like(p) for p in kept]
        diagonal = [adam.metric(k) for k in range(3)]
        before, share = [p.detach().clone() for p in kept], 1 - betas[0] ** step
        adam.step()
        moved = [p.detach() - b for p, b in zip(kept, before, strict=True)]
        pushed = [p * b for p, b in zip(diagonal, momentum, strict=True)]
        (realised, carried), _ = first_order(rows, kept, [known(moved), known(pushed)])
        expected = -lr / share * ((1 - betas[0]) * gram @ weights + betas[0] * carried)
        assert realised == pytest.approx(expected, rel=1e-9)


def test_the_second_moment_is_the_mean_over_live_rows_by_hand():
    """Rows 3 and 4 at scale 2 and 1, a third that rests: v = 0.1 (36 + 16) / 2 = 2.6, then 0.9 v + 0.1 (4 + 16) / 2."""
    p = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.AdamW([p], 1e-2, (0.9, 0.9), eps=1e-12)
    for first, expected in ((3.0, 2.6), (1.0, 0.9 * 2.6 + 1.0)):
        rows = [[torch.full((1,), value, dtype=torch.float64)] for value in (first, 4.0, 100.0)]
        adam = AdamRows(optimizer, [p], rows, np.array([2.0, 1.0, 0.0]))
        corrected = expected / (1 - 0.9 ** (1 if first == 3.0 else 2))
        assert adam.metric(0).item() == pytest.approx(corrected**-0.5)
        adam.step()
        assert optimizer.state[p]["exp_avg_sq"].item() == pytest.approx(expected)


def test_one_row_is_adamw_itself():
    """Where the direction is the one live row, its second moment is AdamW's."""
    ours, theirs = parameters(), parameters()
    a, b = (torch.optim.AdamW(p, 1e-2, weight_decay=0.1) for p in (ours, theirs))
    for step in range(4):
        row = rows_of(step, ours, 1)
        for k, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            p.grad, q.grad = 3 * row[0][k], 3 * row[0][k]
        AdamRows(a, ours, row, np.array([3.0])).step()
        b.step()
    for p, q in zip(ours, theirs, strict=True):
        assert torch.allclose(p, q, rtol=1e-12)
        assert set(a.state[p]) == set(b.state[q])
        assert all(torch.allclose(a.state[p][key], b.state[q][key], rtol=1e-12) for key in a.state[p])


def test_nothing_is_written_before_the_step_and_nothing_moves_without_a_live_row():
    kept = parameters()
    optimizer = torch.optim.AdamW(kept, 1e-2)
    rows, before = rows_of(0, kept), [p.detach().clone() for p in kept]
    AdamRows(optimizer, kept, rows, np.ones(3)).metric(0)
    resting = AdamRows(optimizer, kept, rows, np.zeros(3))
    resting.step()
    assert resting.metric(0) == 0.0
    assert not resting.moves(0)
    assert not optimizer.state
    assert all(torch.equal(p, q) for p, q in zip(kept, before, strict=True))
