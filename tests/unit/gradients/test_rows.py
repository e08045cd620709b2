"""Gradients per parameter against their flattened twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mollm_cli.core.errors import NonFiniteError
from mollm_cli.gradients.gradient_rows import GradientRows, require_finite
from mollm_cli.gradients.inner import BLOCK, inner


def three_objectives(dtype=torch.float64):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).to(dtype)
    x = torch.randn(5, 3, dtype=dtype)
    values = lambda: [layers(x)[:, 0].sum(), (layers(x) ** 2).mean(), layers[0](x).abs().sum()]  # noqa: E731
    return layers, values


def harvested(dtype=torch.float64, times=1):
    layers, values = three_objectives(dtype)
    rows = GradientRows(list(layers.parameters()), 3)
    for _ in range(times):
        for i, value in enumerate(values()):
            value.backward()
            rows.harvest(i)
    return layers, rows


def flat(layers, rows):
    zero = [torch.zeros_like(p) for p in layers.parameters()]
    return torch.stack(
        [torch.cat([(z if g is None else g).reshape(-1) for g, z in zip(row, zero, strict=True)]) for row in rows.rows]
    )


def test_gram_by_parameters_equals_gram_of_flattened_gradients():
    layers, rows = harvested()
    g = flat(layers, rows)
    assert np.allclose(rows.gram(), (g @ g.T).numpy(), rtol=1e-13)
    assert all(p.grad is None for p in layers.parameters())


def test_a_parameter_an_objective_does_not_reach_counts_as_zero():
    _, rows = harvested()
    assert rows.rows[2][2] is None  # the third objective reads the first layer only
    assert np.isfinite(rows.gram()).all()


def test_harvests_of_micro_batches_add_up():
    layers, once = harvested()
    _, twice = harvested(times=2)
    assert torch.allclose(flat(layers, twice), 2 * flat(layers, once))


def test_write_puts_the_weighted_sum_into_grad():
    layers, rows = harvested()
    weights = np.array([0.5, 2.0, -1.0])
    rows.write(weights)
    written = torch.cat([(p.grad).reshape(-1) for p in layers.parameters()])
    assert torch.allclose(written, torch.from_numpy(weights) @ flat(layers, rows), atol=1e-14)


def test_write_of_zero_weights_leaves_no_gradient():
    layers, rows = harvested()
    rows.write(np.zeros(3))
    assert all(p.grad is None for p in layers.parameters())


def test_require_finite_names_the_objectives():
    require_finite(np.array([1.0]), ["a"], "loss")
    with pytest.raises(NonFiniteError, match=r"the loss of b, c is not finite; the optimizer has not moved"):
        require_finite(np.array([1.0, np.nan, np.inf]), ["a", "b", "c"], "loss")


def test_inner_products_of_long_float32_gradients_keep_seven_digits():
    # one float32 dot over 6 M elements is off by 1e-4 of |g|^2
    x = torch.randn(6_000_000, generator=torch.Generator().manual_seed(0))
    exact = (x.double() ** 2).sum().item()
    assert inner(x, x).item() == pytest.approx(exact, rel=2e-6)
    half = x[: 3 * BLOCK + 7].bfloat16()
    assert inner(half, half).item() == pytest.approx((half.double() ** 2).sum().item(), rel=2e-6)


@pytest.mark.parametrize("storage", ["same", "bfloat16", "host"])
def test_the_ways_of_keeping_rows_give_the_same_direction(storage):
    """bfloat16 keeps 8 bits of every element: 0.4 %; on a CPU the host's memory is the device's own."""
    layers, values = three_objectives(torch.float32)
    rows = GradientRows(list(layers.parameters()), 3, storage=storage)
    for _ in range(2):
        for i, value in enumerate(values()):
            value.backward()
            rows.harvest(i)
    exact = 2 * flat(*harvested())
    tolerance = {"bfloat16": 8e-3}.get(storage, 1e-5)
    kept = {x.dtype for row in rows.rows for x in row if x is not None}
    assert kept == {torch.bfloat16 if storage == "bfloat16" else torch.float32}
    scale = np.sqrt(np.outer(*[np.diag((exact @ exact.T).numpy())] * 2))
    assert (np.abs(rows.gram() - (exact @ exact.T).numpy()) <= tolerance * scale).all()
    weights = np.array([0.5, 2.0, -1.0])
    rows.write(weights)
    written = torch.cat([p.grad.reshape(-1) for p in layers.parameters()])
    assert {p.grad.dtype for p in layers.parameters()} == {torch.float32}
    assert (written - torch.from_numpy(weights) @ exact).norm() <= tolerance * exact.norm()


def test_weights_per_layer_are_written_and_carried_per_parameter():
    layers, rows = harvested()
    rows.layers = [0, 0, 1, 1]
    weights = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    rows.write(weights)
    for k, p in enumerate(layers.parameters()):
        expected = rows.rows[0][k] if k < 2 else 2 * rows.rows[1][k]
        assert torch.equal(p.grad, expected)
    (carried,) = rows.carry(weights[np.newaxis])
    assert all(torch.equal(part, p.grad) for part, p in zip(carried, layers.parameters(), strict=True))


def test_room_is_written_to_and_rows_stay_as_they_are():
    layers, rows = harvested()
    room, before = [torch.full_like(p, 7.0) for p in layers.parameters()], flat(layers, rows)
    rows.write(np.array([0.5, 2.0, -1.0]), room)
    assert all(p.grad.data_ptr() == x.data_ptr() for p, x in zip(layers.parameters(), room, strict=True))
    assert torch.equal(flat(layers, rows), before)
    written = torch.cat([x.reshape(-1) for x in room])
    assert torch.allclose(written, torch.tensor([0.5, 2.0, -1.0], dtype=torch.float64) @ before, atol=1e-14)
