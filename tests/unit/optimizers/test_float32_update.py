"""bfloat16 weights that keep small updates: by stochastic rounding on average, by a float32 copy always."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mollm_cli.optimizers import float32_update
from mollm_cli.optimizers.float32_update import Float32Update, stochastically_rounded
from mollm_cli.optimizers.rules import SGD, AdamW

ULP = 2.0**-7
"""Between two neighbours of bfloat16 in [1, 2)."""


def parameters(dtype=torch.bfloat16, shapes=((5, 3), (7,)), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator).bfloat16().to(dtype)) for shape in shapes]


def gradients(step, like):
    generator = torch.Generator().manual_seed(100 + step)
    return [torch.randn(p.shape, generator=generator).bfloat16() for p in like]


def take(optimizer, held, steps, first=0):
    for step in range(first, first + steps):
        for parameter, gradient in zip(held, gradients(step, held), strict=True):
            parameter.grad = gradient.to(parameter.dtype)
        optimizer.step()


def test_rounding_goes_to_the_two_neighbours_with_the_distance_as_probability():
    torch.manual_seed(0)
    for share in (0.0, 0.125, 0.5, 0.9):
        for sign in (1.0, -1.0):
            exact = torch.full((20_000,), sign * (1.0 + share * ULP))
            rounded = stochastically_rounded(exact)
            assert rounded.dtype == torch.bfloat16
            assert set(rounded.float().tolist()) <= {sign * 1.0, sign * (1.0 + ULP)}
            up = (rounded.float() != sign).double().mean().item()
            assert abs(up - share) <= 4 * (share * (1 - share) / 20_000) ** 0.5  # four standard errors


def test_the_expectation_is_exact_for_any_number():
    """The mean of n roundings: its error is a rounding's, over sqrt(n)."""
    torch.manual_seed(1)
    exact = torch.randn(300) * torch.logspace(-6, 6, 300)
    draws = 4000
    mean = sum(stochastically_rounded(exact).double() for _ in range(draws)) / draws
    gap = exact.abs() * 2.0**-7
    assert ((mean - exact.double()).abs() <= 4.5 * gap / 2 / draws**0.5).all()


def test_what_is_a_bfloat16_stays_and_infinity_too():
    exact = torch.cat([torch.randn(1000).bfloat16().float(), torch.tensor([0.0, -0.0, float("inf"), -float("inf")])])
    assert torch.equal(stochastically_rounded(exact).float(), exact)
    assert stochastically_rounded(torch.tensor([float("nan")])).isnan().all()


@pytest.mark.parametrize("update", ["plain", "stochastic_rounding", "master"])
def test_an_update_below_half_a_unit_in_the_last_place(update):
    """32 steps of 1/32 of a unit are one unit: plain bfloat16 never moves, the others do."""
    torch.manual_seed(0)
    parameter = nn.Parameter(torch.ones(4000, dtype=torch.bfloat16))
    optimizer = SGD(lr=ULP / 32, update=update).build([parameter])
    for _ in range(32):
        parameter.grad = -torch.ones_like(parameter)
        optimizer.step()
    moved = (parameter.detach().float() - 1).mean().item() / ULP
    if update == "plain":
        assert moved == 0
    elif update == "master":
        assert (parameter == 1 + ULP).all()
    else:
        assert moved == pytest.approx(1.0, abs=4 / 4000**0.5)
        assert parameter.unique().numel() > 1


@pytest.mark.parametrize("spec", [AdamW(1e-3, weight_decay=0.1), SGD(1e-2, momentum=0.9)])
def test_a_master_copy_is_float32_training_rounded(spec):
    half, whole = parameters(), parameters(torch.float32)
    kept = type(spec)(**{f: getattr(spec, f) for f in spec.__slots__} | {"update": "master"}).build(half)
    exact = spec.build(whole)
    for step in range(20):
        take(kept, half, 1, step)
        take(exact, whole, 1, step)
        assert all(torch.equal(p.detach(), q.detach().bfloat16()) for p, q in zip(half, whole, strict=True))
    assert all(torch.equal(kept.masters[p], q) for p, q in zip(half, whole, strict=True))


def test_stochastic_rounding_keeps_the_moments_of_float32():
    half, whole = parameters(), parameters(torch.float32)
    rounded, exact = AdamW(1e-3, update="stochastic_rounding").build(half), AdamW(1e-3).build(whole)
    take(rounded, half, 5)
    take(exact, whole, 5)
    for p, q in zip(half, whole, strict=True):
        assert p.dtype == torch.bfloat16 and p.grad.dtype == torch.bfloat16
        assert torch.equal(rounded.state[p]["exp_avg_sq"], exact.state[q]["exp_avg_sq"])
        assert torch.allclose(p.float(), q, rtol=5 * 2**-7, atol=1e-6)


def test_stochastic_rounding_is_seeded():
    found = []
    for seed in (0, 0, 1):
        held = parameters()
        torch.manual_seed(seed)
        take(AdamW(1e-4, update="stochastic_rounding").build(held), held, 3)
        found.append(torch.cat([p.detach().reshape(-1) for p in held]))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_chunks_change_nothing(monkeypatch):
    found = []
    for chunk in (2**26, 10):
        monkeypatch.setattr(float32_update, "CHUNK", chunk)
        held = parameters(shapes=((5, 3), (7,), (2,), (4, 4)))
        held[1].grad = None
        take(AdamW(1e-3, update="master").build(held), held, 3)
        found.append(torch.cat([p.detach().reshape(-1) for p in held]))
    assert torch.equal(*found)
    assert [[p.numel() for p in c] for c in float32_update._chunks(held)] == [[15], [7, 2], [16]]


def test_what_has_no_gradient_stays_and_float32_parameters_are_stepped_as_they_are():
    low, high = parameters()[0], parameters(torch.float32)[0]
    still = parameters()[1]
    before = still.detach().clone()
    optimizer = AdamW(1e-3, update="master").build([low, high, still])
    low.grad, high.grad = torch.ones_like(low), torch.ones_like(high)
    optimizer.step()
    assert torch.equal(low.detach(), high.detach().bfloat16())
    assert torch.equal(still, before) and set(optimizer.masters) == {low}


def test_a_change_from_outside_reaches_the_copy():
    (parameter,) = parameters(shapes=((6,),))
    optimizer = SGD(1e-6, update="master").build([parameter])
    take(optimizer, [parameter], 1)
    copy = optimizer.masters[parameter].clone()
    with torch.no_grad():
        parameter.add_(1.0)
    change = parameter.detach().float() - copy.bfloat16().float()
    parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.equal(optimizer.masters[parameter], copy + change)
    assert torch.allclose(parameter.detach().float(), copy + 1.0, rtol=2**-7)


def test_the_rate_of_the_group_counts_and_a_failure_leaves_the_groups_whole():
    held = parameters()
    optimizer = AdamW(1e-3, update="master").build(held)
    assert isinstance(optimizer, Float32Update)
    optimizer.param_groups[0]["lr"] = 0.0
    before = [p.detach().clone() for p in held]
    take(optimizer, held, 2)
    assert all(torch.equal(p, q) for p, q in zip(held, before, strict=True))

    def fails():
        raise MemoryError("full")

    optimizer.inner.step = fails
    with pytest.raises(MemoryError, match="full"):
        take(optimizer, held, 1)
    assert optimizer.inner.param_groups[0]["params"] == held


def test_plain_is_the_rule_itself():
    assert type(AdamW().build(parameters())) is torch.optim.AdamW
    assert type(SGD().build(parameters())) is torch.optim.SGD
