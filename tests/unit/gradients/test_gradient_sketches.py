"""Sketches taken while gradients appear, and of parameters before and after a step."""

from __future__ import annotations

import pytest
import torch

from mollm_cli.gradients.gradient_sketches import GradientSketches, Images
from mollm_cli.gradients.matrix_sketch import MatrixSketch


def elements(tensors, buckets=32):
    """A sketch in which nothing takes part as a block."""
    return MatrixSketch([x.shape for x in tensors], (), buckets, torch.device("cpu"))


def of(sketch, tensors):
    totals = torch.zeros(sketch.buckets, dtype=torch.float64)
    for k, x in enumerate(tensors):
        sketch.add(totals, k, x)
    return totals


def three_losses(dtype=torch.float64):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(30, 40), torch.nn.Tanh(), torch.nn.Linear(40, 2)).to(dtype)
    x = torch.randn(50, 30, dtype=dtype)
    return layers, [layers(x)[:, 0].sum(), (layers(x) ** 2).mean(), layers[0](x).abs().sum()]


def test_gradients_are_sketched_as_they_appear():
    layers, values = three_losses()
    parameters = list(layers.parameters())
    sketch = elements(parameters)
    sketches = GradientSketches(parameters, 3, sketch)
    for i, value in enumerate(values):
        gradients = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
        with sketches.collecting(i):
            value.backward(retain_graph=True)
        with sketches.collecting(i):  # a second micro-batch
            value.backward()
        assert all(p.grad is None for p in parameters)
        pairs = zip(parameters, gradients, strict=True)
        expected = of(sketch, [torch.zeros(p.numel()) if g is None else 2 * g for p, g in pairs])
        assert torch.allclose(sketches.totals[i], expected, atol=1e-9)
    assert sketches.gram() == pytest.approx((sketches.totals @ sketches.totals.T).numpy())


def test_a_gradient_that_is_taken_is_sketched_and_handed_over():
    layers, values = three_losses()
    parameters = list(layers.parameters())
    sketches = GradientSketches(parameters, 3, elements(parameters))
    with sketches.collecting(0):
        values[2].backward(retain_graph=True)
    values[2].backward()
    row = sketches.take(1)
    assert torch.allclose(sketches.totals[0], sketches.totals[1], atol=1e-12)
    assert all(p.grad is None for p in parameters)
    assert [part is None for part in row] == [False, False, True, True]


def test_no_more_than_one_gradient_exists_while_sketching():
    layers, values = three_losses()
    parameters = list(layers.parameters())
    sketches = GradientSketches(parameters, 3, elements(parameters))
    most, add = [], sketches.sketch.add
    sketches.sketch.add = lambda *a: most.append(sum(p.grad is not None for p in parameters)) or add(*a)
    with sketches.collecting(0):
        values[0].backward()
    assert len(most) == 4
    assert max(most) == 0  # it is out of .grad while it is added, and freed then


def test_hooks_are_gone_afterwards():
    layers, values = three_losses()
    parameters = list(layers.parameters())
    sketches = GradientSketches(parameters, 3, elements(parameters))
    with pytest.raises(RuntimeError, match="on purpose"), sketches.collecting(0):
        raise RuntimeError("on purpose")
    values[0].backward()
    assert all(p.grad is not None for p in parameters)
    assert not sketches.totals.any()


def test_a_small_change_of_large_parameters_is_seen():
    """theta_new - theta_old through two sketches of theta: float64 sums leave the difference its digits."""
    generator = torch.Generator().manual_seed(0)
    old = [torch.randn(5000, generator=generator)]
    new = [old[0] + 1e-5 * torch.randn(5000, generator=generator)]
    sketch = elements(old, 128)
    change, squares = Images(sketch, old).change_to(Images(sketch, new))
    assert torch.allclose(change, of(sketch, [new[0].double() - old[0].double()]), rtol=1e-7, atol=1e-12)
    assert len(squares) == 0
    totals = GradientSketches([torch.nn.Parameter(old[0])], 1, sketch)
    sketch.add(totals.totals[0], 0, old[0])
    found, length = totals.against(change)
    assert found == pytest.approx([float(totals.totals[0].double() @ change)])
    assert length == pytest.approx(float(change.norm()))
