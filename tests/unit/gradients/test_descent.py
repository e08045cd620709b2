"""The guard: by hand in two parameters, and equal to its slow twin on flattened vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mollm_cli.gradients.descent import Descent, guarded
from mollm_cli.gradients.inner import ParameterChange, first_order, grams
from mollm_cli.optimizers.adam import preconditioner
from mollm_cli.solvers.simplex import min_norm_point

G = torch.tensor([[1.0, 3.0], [6.0, -7.0]])
"""Badly scaled against each other: the min-norm point of their hull is d = 0.8 g_1 + 0.2 g_2 = (2, 1), g_i . d = 5."""
LR = 0.01


def two_parameters(live):
    parameter = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    optimizer = torch.optim.AdamW([parameter], LR, weight_decay=0.0, eps=1e-12)
    weights = min_norm_point((G @ G.T).double().numpy())
    assert weights == pytest.approx([0.8, 0.2])
    direction = torch.tensor(weights, dtype=torch.float32) @ G
    assert (G @ direction).tolist() == pytest.approx([5.0, 5.0])  # to first order, both descend along d
    parameter.grad = direction
    before = [parameter.detach().clone()]
    optimizer.step()
    norms = G.norm(dim=1).double().numpy()
    found = guarded([parameter], before, [[g] for g in G], norms, live, preconditioner(optimizer, [parameter]))
    return parameter, found


def test_by_hand_adam_raises_what_the_euclidean_direction_lowers_and_the_guard_does_not():
    """Adam's first step is -lr sign(d) = -lr (1, 1): g_1 falls by 4 lr, g_2 rises by 1 lr.

    P = 1 / |d| = (1/2, 1), g_2' P g_2 = 18 + 49 = 67, so l = lr / 67, the correction is -l (3, -7), and what is left
    is -lr / 67 (70, 60): g_2 . that = 0, g_1 . that = -250 lr / 67.
    """
    free, looked = two_parameters(None)
    assert free.tolist() == pytest.approx([-LR, -LR])
    assert looked.realised == pytest.approx([-4 * LR, LR])
    assert looked.correction is None
    parameter, found = two_parameters(np.array([True, True]))
    assert found.raw == pytest.approx([-4 * LR, LR])
    assert parameter.tolist() == pytest.approx([-LR * 70 / 67, -LR * 60 / 67])
    assert found.realised == pytest.approx([-LR * 250 / 67, 0.0], abs=1e-8)
    assert found.correction == pytest.approx(58**0.5 / 67 / 2**0.5)
    assert found.norm == pytest.approx(LR * 2**0.5)


def test_what_is_not_live_may_rise():
    parameter, found = two_parameters(np.array([True, False]))
    assert parameter.tolist() == pytest.approx([-LR, -LR])
    assert found.correction == 0.0
    assert found.realised[1] == pytest.approx(LR)


def test_where_nothing_moved_nothing_rose():
    still = Descent(np.zeros(2), np.zeros(2), 0.0)
    assert not still.rising(np.ones(2), np.array([True, True])).any()


@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3])
def test_a_rise_is_rounding_below_a_cosine_of_1e_7_however_long_the_gradient_is(length):
    for cosine, corrected in ((5e-8, False), (5e-7, True)):
        parameter, row = torch.nn.Parameter(torch.tensor([0.0, 1.0])), length * torch.tensor([1.0, cosine])
        norms, live = np.array([length]), np.array([True])
        found = guarded([parameter], [torch.zeros(2)], [[row]], norms, live, lambda k: 1.0)
        assert (found.correction > 0) is corrected


@pytest.mark.parametrize("seed", range(5))
def test_a_correction_below_the_spacing_of_floats_is_made_until_it_counts(seed):
    """Parameters near 1 move by 1e-5, floats are 1e-7 apart: a correction by 5e-6 of the move is rounded away."""
    generator = torch.Generator().manual_seed(seed)
    before, change, row = (torch.randn(2000, generator=generator) for _ in range(3))
    before = before.sign() * (1 + before.abs())
    parameter = torch.nn.Parameter(before + 1e-5 * change)
    change = (parameter.detach() - before).double()
    rise = 5e-6 * change.norm() * row.double().norm()
    row = (row.double() + (rise - row.double() @ change) / change.square().sum() * change).float()
    norms = np.array([float(row.double().norm())])
    found = guarded([parameter], [before], [[row]], norms, np.array([True]), lambda k: 1.0)
    assert found.raw[0] > 4e-6 * norms[0] * found.norm
    assert float(row.double() @ (parameter.detach() - before).double()) <= 1.2e-7 * norms[0] * found.norm
    assert found.correction < 1e-2


def parts(seed, shapes=((3, 2), (5,), (2, 2))):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def whole(tensors):
    """Tensors as a change: not computed, known."""
    return lambda k: None if tensors[k] is None else ParameterChange(lambda x: x, tensors[k])


def flat(tensors):
    return torch.cat([t.reshape(-1) for t in tensors]).double().numpy()


def test_products_equal_those_of_flattened_vectors():
    rows, metric, change = [parts(i) for i in range(3)], [p.abs() for p in parts(8)], parts(9)
    flattened, p = np.array([flat(row) for row in rows]), flat(metric)
    assert grams(rows, change, metric=lambda k: metric[k])[0] == pytest.approx(flattened * p @ flattened.T, abs=1e-5)
    assert grams(rows, change, metric=lambda k: 1.0)[0] == pytest.approx(flattened @ flattened.T, abs=1e-5)
    found, lengths = first_order(
        rows, change, [whole(change), lambda k: ParameterChange(torch.add, metric[k], change[k])]
    )
    for k, moved in enumerate((flat(change), flat(change) + p)):
        assert found[k] == pytest.approx(flattened @ moved, abs=1e-5)
        assert lengths[k] == pytest.approx(np.linalg.norm(moved))


def test_a_parameter_that_a_row_does_not_reach_counts_as_zero():
    rows = [parts(0), [None, *parts(1)[1:]], [None, None, None]]
    zeroed = [[torch.zeros_like(b) if a is None else a for a, b in zip(row, rows[0], strict=True)] for row in rows]
    flattened = np.array([flat(row) for row in zeroed])
    assert grams(rows, parts(0), metric=lambda k: 2.0)[0] == pytest.approx(2 * flattened @ flattened.T, abs=1e-5)
    still = [parts(2)[0], None, None]
    found, lengths = first_order(rows, parts(0), [whole(still), lambda k: None, whole(parts(0))])
    assert found[0] == pytest.approx(flattened[:, :6] @ still[0].reshape(-1).double().numpy(), rel=1e-5)
    assert found[2] == pytest.approx(flattened @ flat(parts(0)), rel=1e-5)
    assert (found[1].tolist(), lengths[1]) == ([0.0, 0.0, 0.0], 0.0)
    assert first_order(rows, parts(0), [lambda k: None])[1].tolist() == [0.0]


def test_an_objective_that_nothing_can_correct_is_left_as_it_is():
    """P = 0 on the only parameter that its row reaches: the record shows the rise."""
    parameter = torch.nn.Parameter(torch.tensor([1.0]))
    found = guarded([parameter], [torch.zeros(1)], [[torch.ones(1)]], np.ones(1), np.array([True]), lambda k: 0.0)
    assert parameter.item() == 1.0
    assert found.realised.tolist() == [1.0]
