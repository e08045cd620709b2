"""A step whose logits exist chunk by chunk is the step that it was: parameters, losses, forward passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mollm_cli.core import chunked
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.losses import LOSSES
from tests.support.steps import stepper
from tests.support.tiny import batch, llama, opt, split

ROWS = {role: batch(seed, prefix=role) for seed, role in enumerate(("forget", "retain", "alternate"))}
READ = [name for name, loss in LOSSES.items() if any(loss.layer(role) is None for role in loss.roles)]


BOTH = [pytest.param(WeightedSum, marks=pytest.mark.slow), DualSpaceMGDA]
"""Without a Gram matrix and with one, which goes the longer way."""


def batches(loss, size=4):
    return {role: split(ROWS[role], size) for role in loss.roles}


def parameters(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def limited(monkeypatch, rows):
    monkeypatch.setattr(chunked, "CHUNK_BYTES", rows * 4 * 48)


def stepped(monkeypatch, name, solver, rows, size):
    """Two steps of a model that is not its reference any more; (parameters, losses, forget probability) after each."""
    limited(monkeypatch, rows)
    model, loss = opt(), LOSSES[name]
    step = stepper(model, loss, solver())
    torch.manual_seed(3)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    results = [step(batches(loss, size), 0.1) for _ in range(2)]
    return parameters(model), [r.losses for r in results], [r.forget_probability for r in results]


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("solver", BOTH)
def test_chunks_take_the_same_steps(name, solver, monkeypatch):
    whole = stepped(monkeypatch, name, solver, 10_000, 4)
    for rows, size in ((5, 4), (1, 3)):
        found = stepped(monkeypatch, name, solver, rows, size)
        assert (found[0] - whole[0]).abs().max() < 1e-10
        assert np.allclose(found[1], whole[1], rtol=1e-11)
        assert found[2] == pytest.approx(whole[2], rel=1e-11)


@pytest.mark.parametrize("name", READ)
def test_chunks_need_no_further_forward_pass(name, monkeypatch):
    counts = []
    for rows in (10_000, 5):
        limited(monkeypatch, rows)
        model, loss, seen = llama(), LOSSES[name], []
        step = stepper(model, loss, DualSpaceMGDA())
        model.model.layers[0].register_forward_hook(lambda *a, seen=seen: seen.append("model"))
        if loss.needs_reference:
            first = step.reference._model.model.layers[0]
            first.register_forward_hook(lambda *a, seen=seen: seen.append("reference"))
        step(batches(loss), 0.1)
        counts.append(sorted(seen))
    assert counts[0] == counts[1] != []


@pytest.mark.parametrize("name", READ)
def test_chunks_in_bf16_are_finite_and_near(name, monkeypatch):
    losses = []
    for rows in (10_000, 5):
        limited(monkeypatch, rows)
        step = stepper(llama(), LOSSES[name], WeightedSum())
        step.bf16 = True
        losses.append(np.array([step(batches(LOSSES[name]), 1e-3).losses for _ in range(2)]))
    assert np.isfinite(losses).all()
    assert np.allclose(*losses, rtol=0.01, atol=1e-4)
