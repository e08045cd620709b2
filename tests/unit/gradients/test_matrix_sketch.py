"""The sketch of a matrix from its factors: one map however it is reached, unbiased, its error within its bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mollm_cli.gradients import matrix_sketch as module
from mollm_cli.gradients.gradient_sketches import Images
from mollm_cli.gradients.matrix_sketch import Fold, MatrixSketch

CPU = torch.device("cpu")
SHAPES = [torch.Size(s) for s in ((40, 30), (17,), (9, 70), (5, 3))]
MATRICES = {0, 2, 3}
DOUBLE = torch.float64


def fold(size, side=8, seed=0):
    return Fold(size, side, torch.Generator().manual_seed(seed), CPU)


@pytest.mark.parametrize(("size", "side"), [(40, 8), (43, 8), (8, 8), (3, 8), (1, 1), (29, 1)])
def test_the_two_ways_of_folding_are_one_map_and_parts_add_up(size, side):
    folded, x = fold(size, side), torch.randn(6, size, dtype=DOUBLE)
    whole = folded.by_rows(x, DOUBLE)
    assert whole.shape == (6, min(side, size))
    assert torch.allclose(folded.at_once(x, DOUBLE), whole)
    for way in (folded.by_rows, folded.at_once):
        for width in (1, 3, 5, size):
            parts = [way(x[:, at : at + width], DOUBLE, at) for at in range(0, size, width)]
            assert torch.allclose(torch.stack(parts).sum(0), whole)


def test_a_fold_is_a_signed_sum_into_buckets():
    """Every element into one bucket, with a sign; those of one row into buckets of their own."""
    matrix = fold(43).by_rows(torch.eye(43, dtype=DOUBLE), DOUBLE)
    assert (matrix.abs().sum(1) == 1).all()
    assert set(matrix.unique().tolist()) == {-1.0, 0.0, 1.0}
    for row in torch.split(matrix, 8):
        assert (row.abs().sum(0) <= 1).all()


def test_half_precision_is_folded_in_the_precision_that_is_asked_for():
    """Of 64 rows in one bucket bfloat16 sums would keep two digits."""
    folded, x = fold(512), torch.randn(5, 512).bfloat16()
    for way in (folded.by_rows, folded.at_once):
        torch.testing.assert_close(way(x, torch.float32), way(x.float(), torch.float32))


def test_an_axis_that_is_not_longer_than_the_side_stays_exact():
    matrix = fold(7).by_rows(torch.eye(7, dtype=DOUBLE), DOUBLE)
    assert torch.equal(matrix @ matrix.T, torch.eye(7, dtype=DOUBLE))


def sketch(buckets=64, starts=None, shapes=SHAPES):
    return MatrixSketch(shapes, MATRICES, buckets, CPU, starts)


def of(made, tensors):
    totals = torch.zeros(made.buckets, dtype=DOUBLE)
    for k, x in tensors.items():
        made.add(totals, k, x)
    return totals


def random(seed):
    torch.manual_seed(seed)
    return {k: torch.randn(shape, dtype=DOUBLE) for k, shape in enumerate(SHAPES)}


def test_factors_and_their_product_have_one_sketch():
    made = sketch()
    for k in MATRICES:
        left, right = (torch.randn(11, n, dtype=DOUBLE) for n in SHAPES[k])
        totals = torch.zeros(64, dtype=DOUBLE)
        made.add_product(totals, k, left, right)
        assert torch.allclose(totals, of(made, {k: left.T @ right}))


def test_it_is_linear_and_the_same_in_every_run(monkeypatch):
    a, b = random(1), random(2)
    combined = {k: 2 * a[k] - 3 * b[k] for k in a}
    expected = 2 * of(sketch(), a) - 3 * of(sketch(), b)
    assert torch.allclose(of(sketch(), combined), expected)
    monkeypatch.setattr(module, "AT_ONCE", 100)  # a large matrix is folded some rows at a time
    assert torch.allclose(of(sketch(), combined), expected)


def test_sketches_of_shards_add_up():
    """Shards are of the first axis."""
    whole = random(3)
    total = torch.zeros(64, dtype=DOUBLE)
    for rank in range(3):
        starts, parts = [], {}
        for k, shape in enumerate(SHAPES):
            rows = -(-shape[0] // 3)
            starts.append(min(rank * rows, shape[0]) * (shape.numel() // shape[0]))
            parts[k] = whole[k][rank * rows : (rank + 1) * rows]
        total += of(sketch(starts=starts), parts)
    assert torch.allclose(total, of(sketch(), whole))


def outer(size):
    """The worst case: gradients of rank one in one matrix."""
    torch.manual_seed(0)
    a = torch.outer(torch.randn(size), torch.randn(size)).to(DOUBLE)
    return a, a + 0.5 * torch.outer(torch.randn(size), torch.randn(size))


def spread(size):
    torch.manual_seed(0)
    return torch.randn(size, size, dtype=DOUBLE), torch.randn(size, size, dtype=DOUBLE)


@pytest.mark.parametrize("make", [outer, spread])
def test_the_error_is_unbiased_and_within_its_bound(make, monkeypatch):
    size, buckets, trials = 48, 1024, 300
    a, b = make(size)
    found = []
    for trial in range(trials):
        made = MatrixSketch([torch.Size((size, size))], {0}, buckets, CPU, seed=trial)
        found.append(float(of(made, {0: a}) @ of(made, {0: b})) - float((a * b).sum()))
    scale = float(a.norm() * b.norm())
    bound = made.error_of(np.array([float(b.norm()) ** 2]), float(b.norm()) ** 2) * scale
    assert np.sqrt(np.mean(np.square(found))) <= 1.15 * bound
    assert abs(np.mean(found)) <= 4 * bound / np.sqrt(trials)
    if make is outer:
        assert np.sqrt(np.mean(np.square(found))) >= 0.5 * bound, "the bound is not an empty one"


def test_what_a_block_adds_to_the_variance_by_its_two_sides():
    """For |u| = 1 E[((uP).(uP))^2] <= 1 + 2 / p; the two axes are folded independently, so that multiplies.

    Of 16 elements of one size in 2 buckets 1.875 by hand: (2 (3 8^2 - 2 8) + 2 8^2) / 16^2.
    """
    made = MatrixSketch([torch.Size((64, 512)), torch.Size((8, 512)), torch.Size((8, 8))], {0, 1, 2}, 256, CPU)
    assert [made.spread(k) for k in range(3)] == [2 / 8 + 2 / 8 + 4 / 64, 2 / 8, 0.0]
    torch.manual_seed(0)
    signs = (2 * torch.randint(0, 2, (2, 20_000, 16)) - 1).to(DOUBLE) / 4
    left, right = (
        float(fold(16, 2, seed).by_rows(signs[seed], DOUBLE).square().sum(1).square().mean()) for seed in range(2)
    )
    assert (left, right) == pytest.approx((1.875, 1.875), rel=0.05)
    assert 2 < left * right - 1 <= MatrixSketch([torch.Size((16, 16))], {0}, 16, CPU).spread(0)


def test_errors_of_many_matrices_average_out():
    made = MatrixSketch([torch.Size((64, 64))] * 16, set(range(16)), 256, CPU)
    even, alone = np.full(16, 1 / 16), np.eye(16)[0]
    assert made.error_of(even, 1.0) < 0.5 * made.error_of(alone, 1.0)
    assert made.error_of(np.zeros(16), 0.0) == made.error
    variance = (1 + made.error**2) * (1 + made.spread(0)) - 1
    assert made.error_of(alone, 1.0) == pytest.approx(np.sqrt(variance)), "of the block and of the sketch of it"
    short = MatrixSketch([torch.Size((4, 4))], {0}, 256, CPU)
    assert short.error_of(np.ones(1), 1.0) == short.error, "a block as large as the matrix loses nothing"


def test_a_small_change_of_large_parameters_is_seen_matrix_by_matrix():
    old, made = {k: x.float() for k, x in random(4).items()}, sketch()
    new = {k: x + 1e-5 * torch.randn_like(x) for k, x in old.items()}
    change, squares = Images(made, list(old.values())).change_to(Images(made, list(new.values())))
    delta = {k: new[k].double() - old[k].double() for k in old}
    assert torch.allclose(change, of(made, delta), rtol=1e-7, atol=1e-12)
    blocks = [float(made.image(k, delta[k], DOUBLE).square().sum()) for k in sorted(MATRICES)]
    assert squares == pytest.approx(blocks, rel=1e-6)
