"""Products block by block against flattened vectors, and how often a number leaves the device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mollm_cli.gradients import inner as module
from mollm_cli.gradients.inner import BLOCK, ParameterChange, blocks, first_order, grams

SHAPES = ((3, 5), (7,), (2 * BLOCK + 11,), (1,))


def rows_of(count, dtype=torch.float32, missing=()):
    generator = torch.Generator().manual_seed(0)
    rows = [[torch.randn(shape, generator=generator).to(dtype) for shape in SHAPES] for _ in range(count)]
    for i, k in missing:
        rows[i][k] = None
    return rows


def flat(rows):
    whole = [[torch.zeros(s) if x is None else x for x, s in zip(row, SHAPES, strict=True)] for row in rows]
    return np.array([torch.cat([x.double().reshape(-1) for x in row]).numpy() for row in whole])


@pytest.mark.parametrize("m", range(1, 6))
@pytest.mark.parametrize("missing", [(), ((0, 1),), ((0, 2), (0, 0))])
def test_all_products_in_one_pass_are_those_of_flattened_rows(m, missing):
    rows = rows_of(m, missing=missing)
    g = flat(rows)
    assert grams(rows, rows_of(1)[0])[0] == pytest.approx(g @ g.T, rel=2e-6, abs=1e-3)


def test_float64_rows_lose_nothing():
    rows = rows_of(3, torch.float64)
    g = flat(rows)
    assert grams(rows, rows[0])[0] == pytest.approx(g @ g.T, rel=1e-13)


def test_the_matrices_of_the_layers_add_up_to_the_whole():
    rows, layers = rows_of(3, torch.float64, missing=((1, 3),)), [0, 1, 1, 2]
    found = grams(rows, rows_of(1)[0], layers)
    assert found.shape == (3, 3, 3)
    assert found.sum(axis=0) == pytest.approx(grams(rows, rows_of(1)[0])[0], rel=1e-13)
    assert found[2, 1].tolist() == [0.0, 0.0, 0.0]
    first = np.array([row[0].double().numpy().ravel() for row in rows])
    assert found[0] == pytest.approx(first @ first.T)


def test_half_precision_is_raised_to_the_type_of_the_others():
    rows = rows_of(2, torch.bfloat16)
    g = flat(rows)
    assert grams(rows, rows[0])[0] == pytest.approx(g @ g.T, rel=2e-6)
    mixed = [rows_of(1, torch.bfloat16)[0], rows_of(2, torch.float64)[1]]
    g = flat(mixed)
    assert grams(mixed, mixed[1])[0] == pytest.approx(g @ g.T, rel=1e-12)
    pieces = next(blocks([mixed[0][0], mixed[1][0]], torch.device("cpu")))
    assert {piece.dtype for piece in pieces} == {torch.float64}


class Scalars(TorchDispatchMode):
    """Counts the numbers that are taken out of tensors one by one."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_one_transfer_whatever_the_number_of_rows_and_parameters(monkeypatch):
    moved = []
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: moved.append(self.shape) or cpu(self))
    rows = rows_of(4)
    change = lambda k: ParameterChange(torch.neg, rows[0][k])  # noqa: E731
    with Scalars() as seen:
        grams(rows, rows[0])
        grams(rows, rows[0], [0, 0, 1, 2])
        grams(rows, rows[0], metric=lambda k: rows[1][k].abs())
        first_order(rows, rows[0], [change, change])
    assert seen.count == 0
    assert len(moved) == 4


def test_every_block_is_visited_once(monkeypatch):
    """All pairs of a block are taken while it is there: rows are read once, not once a pair."""
    visited = []
    original = module.blocks
    monkeypatch.setattr(module, "blocks", lambda *a: (visited.append(1) or b for b in original(*a)))
    grams(rows_of(4), rows_of(1)[0])
    assert len(visited) == 1 + 1 + 3 + 1


def test_nothing_reached_is_zero():
    assert grams([[None] * 4, [None] * 4], rows_of(1)[0]).tolist() == [[[0.0, 0.0], [0.0, 0.0]]]
