"""The sketch: linear, its two ways equal, its error within its bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mollm_cli.gradients import sketch as module
from mollm_cli.gradients.sketch import SPREAD, CountSketch

CPU = torch.device("cpu")
SIZES = (100, 64, 7, 1, 1000)


def parts(seed, dtype=torch.float64, sizes=SIZES):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, generator=generator).to(dtype) for size in sizes]


def of(sketch, tensors, add="add_by_rows"):
    totals = torch.zeros(sketch.buckets, dtype=torch.float64)
    for k, x in enumerate(tensors):
        getattr(sketch, add)(totals, k, x)
    return totals


@pytest.mark.parametrize("buckets", [1, 8, 64, 1024, 4096])
def test_the_two_ways_of_adding_are_one_map(buckets, monkeypatch):
    sketch = CountSketch(SIZES, buckets, CPU)
    x = parts(0)
    for at_once in (buckets, 3 * buckets, 2**22):
        monkeypatch.setattr(module, "AT_ONCE", at_once)
        assert torch.allclose(of(sketch, x), of(sketch, x, "add_at_once"), atol=1e-12)


def test_it_is_the_slow_sum_over_elements():
    """s_b = sum of sign_j x_j over the elements j that fall into bucket b; every element falls into one."""
    sketch, x = CountSketch(SIZES, 16, CPU), parts(1)
    expected = torch.zeros(16, dtype=torch.float64)
    for k, values in enumerate(x):
        for j, value in enumerate(values):
            rotation, window, sign = sketch.plans[k][:, j // 16].tolist()
            expected[(j % 16 + rotation) % 16] += sign * sketch.table[window + j % 16] * value
    assert torch.allclose(of(sketch, x), expected, atol=1e-12)
    assert set(sketch.table.tolist()) == {-1.0, 1.0}
    assert len(sketch.table) == (module.TABLE + 1) * 16, "as far as the last window reaches"


def test_it_is_linear_and_the_same_in_every_run():
    sketch, again = CountSketch(SIZES, 32, CPU), CountSketch(SIZES, 32, CPU)
    a, b = parts(1), parts(2)
    combined = [2 * x - 3 * y for x, y in zip(a, b, strict=True)]
    assert torch.allclose(of(sketch, combined), 2 * of(sketch, a) - 3 * of(again, b), atol=1e-11)


def test_what_fits_into_the_buckets_is_kept_exactly():
    """Elements of one row never meet."""
    sketch, a, b = CountSketch((50,), 64, CPU), parts(1, sizes=(50,)), parts(2, sizes=(50,))
    assert float(of(sketch, a) @ of(sketch, b)) == pytest.approx(float(a[0] @ b[0]))


def errors(make, buckets, trials=300, size=2048):
    """(s(a).s(b) - a.b) over trials with maps of their own, |a|, |b|, a.b."""
    a, b = make(size)
    found = []
    for trial in range(trials):
        sizes = (size // 2, size // 4, size - size // 2 - size // 4)
        sketch = CountSketch(sizes, buckets, CPU, seed=trial)
        pieces = [torch.split(x, sizes) for x in (a, b)]
        found.append(float(of(sketch, pieces[0]) @ of(sketch, pieces[1])))
    return np.array(found) - float(a @ b), float(a.norm()), float(b.norm()), float(a @ b)


def independent(size):
    torch.manual_seed(0)
    return torch.randn(size).double(), torch.randn(size).double()


def equal(size):
    a, _ = independent(size)
    return a, a


def one_heavy_column(size):
    """Elements a constant distance apart, as in a matrix with one loud input."""
    a = torch.zeros(size).double()
    a[::16] = 1.0
    return a, a.roll(16) + 0.5 * a


@pytest.mark.parametrize("make", [independent, equal, one_heavy_column])
@pytest.mark.parametrize("buckets", [64, pytest.param(256, marks=pytest.mark.slow)])
def test_the_error_is_unbiased_and_within_its_bound(make, buckets):
    found, a, b, product = errors(make, buckets)
    bound = SPREAD * (a**2 * b**2 + product**2) / buckets
    assert np.mean(found**2) <= 1.25 * bound  # 300 trials know a variance to 8 %
    assert np.mean(found**2) >= 0.2 * bound  # and the bound is not an empty one
    assert abs(found.mean()) <= 4 * np.sqrt(bound / len(found))


def test_65536_buckets_cost_six_per_mille_at_the_most():
    size, buckets = 600_000, 65_536
    torch.manual_seed(0)
    rows = torch.randn(3, size)
    rows[1] += rows[0]
    sketch = CountSketch((size,), buckets, CPU)
    seen = torch.stack([of(sketch, [row]) for row in rows])
    norms = rows.double().norm(dim=1)
    relative = ((seen @ seen.T - rows.double() @ rows.double().T) / torch.outer(norms, norms)).abs()
    assert sketch.error == pytest.approx(0.0062, abs=1e-4)
    assert relative.max() <= 3 * sketch.error
    assert 1e-4 < relative.mean() <= sketch.error
