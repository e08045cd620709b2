"""|d| from the Gram matrix, against the |d| that torch measures and clips by."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mollm_cli.core.errors import NonFiniteError
from mollm_cli.gradients.clipping import Clipping
from mollm_cli.gradients.direction import length_of
from mollm_cli.gradients.gradient_rows import GradientRows
from mollm_cli.gradients.trained import Trained

LOSSES = np.ones(3)
NAMES = ["forget", "retain", "kl"]
WEIGHTS = np.array([[0.5, 2.0, -0.3]])


def kept_rows(*, layers=None, scale=1.0, dtype=torch.float32):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(40, 30), torch.nn.Linear(30, 20)).to(dtype)
    parameters = list(model.parameters())
    rows = GradientRows(parameters, 3, layers=layers)
    for i in range(3):
        for p in parameters:
            p.grad = scale * torch.randn_like(p)
        rows.harvest(i)
    return model, rows


def clipped(rows, model, weights, limit):
    norm = Clipping(Trained.of(model), NAMES, limit).write(rows, rows.grams(), weights, LOSSES)
    return norm, [p.grad.clone() for p in model.parameters()]


def by_torch(rows, model, weights, limit):
    rows.write(weights)
    measured = torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])
    if limit is not None:
        torch.nn.utils.clip_grads_with_norm_(list(model.parameters()), limit, measured)
    return float(measured), [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("limit", [None, 1.0, 1e6])
@pytest.mark.parametrize("layers", [None, [0, 0, 1, 1]])
def test_the_norm_and_the_clipped_direction_are_torchs(limit, layers):
    weights = WEIGHTS if layers is None else np.concatenate([WEIGHTS, -2 * WEIGHTS])
    model, rows = kept_rows(layers=layers)
    norm, written = clipped(rows, model, weights, limit)
    measured, expected = by_torch(rows, model, weights, limit)
    assert norm == pytest.approx(measured, rel=1e-6)
    for x, y in zip(written, expected, strict=True):
        assert torch.allclose(x, y, rtol=1e-5, atol=1e-7)


def test_what_is_known_from_the_gram_matrix_is_not_measured(monkeypatch):
    model, rows = kept_rows()
    monkeypatch.setattr(Clipping, "clip", lambda *_: pytest.fail("d was measured"))
    norm, written = clipped(rows, model, WEIGHTS, 1.0)
    assert norm > 1
    assert float(torch.nn.utils.get_total_norm(written)) == pytest.approx(1.0, rel=1e-5)


def test_where_terms_cancel_the_direction_is_measured():
    model, rows = kept_rows(scale=100.0)
    rows.rows[1] = [x * (1 + 1e-5) for x in rows.rows[0]]
    weights = np.array([[1.0, -1.0, 0.0]])
    assert length_of(rows.grams(), weights) is None
    norm, written = clipped(rows, model, weights, 0.01)
    assert norm == pytest.approx(1e-5 * float(torch.nn.utils.get_total_norm(rows.rows[0])), rel=0.05)
    assert float(torch.nn.utils.get_total_norm(written)) == pytest.approx(0.01, rel=1e-3)


def test_a_direction_of_no_row_has_no_length():
    model, rows = kept_rows()
    norm = Clipping(Trained.of(model), NAMES, 1.0).write(rows, rows.grams(), np.zeros((1, 3)), LOSSES)
    assert norm == 0.0
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("weight", [1.0, np.nan])
def test_what_is_not_finite_is_refused(weight):
    model, rows = kept_rows()
    losses = np.array([1.0, np.nan, 1.0]) if weight == 1.0 else LOSSES
    weights = np.array([[weight, 0.0, 0.0]])
    with pytest.raises(NonFiniteError, match="retain" if weight == 1.0 else "the gradient of forget"):
        Clipping(Trained.of(model), NAMES, 1.0).write(rows, rows.grams(), weights, losses)
    if weight == 1.0:
        assert all(p.grad is None for p in model.parameters())
