"""A row that a solver keeps from step to step: what it becomes, what it costs, and that a resumed run has it."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mollm_cli.core.errors import NonFiniteError
from mollm_cli.core.types import Loss, Objective
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.grad_diff import grad_diff
from mollm_cli.losses.mollm import mollm
from mollm_cli.models.forward import forward
from mollm_cli.objectives.cross_entropy import cross_entropy
from mollm_cli.objectives.label_log_probs import on
from mollm_cli.resume import checkpoint
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.projected_forget import ProjectedForget
from tests.support.steps import stepper
from tests.support.tiny import batch, llama, opt

STEPS = [{"forget": [batch(k, prefix="f")], "retain": [batch(k + 9, prefix="r")]} for k in range(4)]
RAW = Direction(normalise="none", rescale=False, live_threshold=0.0, guard=False)


def flat(tensors):
    return torch.cat([t.detach().reshape(-1) for t in tensors])


def gradient(model, batches, role):
    total, count = cross_entropy(forward(model, batches[role][0]))
    return flat(torch.autograd.grad(total / count, list(model.parameters())))


def test_the_steps_are_those_of_the_plain_recipe():
    """GRU on flattened vectors, in float64: g_f of -CE, the average of g_r, the projection, SGD."""
    model = opt()
    plain, average, conflicts = copy.deepcopy(model), None, 0
    step = stepper(model, grad_diff(), ProjectedForget(share=0.8), direction=RAW, lr=0.1)
    for batches in STEPS:
        step(batches, 0.1)
        forget, retain = -gradient(plain, batches, "forget"), gradient(plain, batches, "retain")
        average = retain if average is None else 0.8 * retain + 0.2 * average
        along = torch.dot(forget, average)
        conflicts += bool(along < 0)
        d = forget - torch.clamp(along, max=0.0) / torch.dot(average, average) * average
        start = flat(plain.parameters())
        torch.nn.utils.vector_to_parameters(start - 0.1 * d, plain.parameters())
        assert (flat(model.parameters()) - start + 0.1 * d).abs().max() < 1e-10
        assert (flat(step.carried[0]) - average).abs().max() < 1e-10
    assert conflicts > 0


def test_the_average_is_of_the_rows_as_the_programme_sees_them():
    """Normalised, the retain row enters at the mean length of the live rows."""
    step = stepper(opt(), grad_diff(), ProjectedForget())
    result = step(STEPS[0], 0.1)
    assert torch.linalg.norm(flat(step.carried[0])).item() == pytest.approx(np.sqrt(np.diag(result.gram)).mean())
    assert (result.gram.shape, result.weights.shape) == ((2, 2), (2,))
    assert step(STEPS[1], 0.1).choice.weights.shape == (3,)


def test_resume_equals_uninterrupted_to_the_bit(tmp_path):
    ends = []
    for cut in (False, True):
        model = llama()
        step = stepper(model, mollm(), ProjectedForget(), optimizer=torch.optim.AdamW(model.parameters(), 1e-3))
        for k, batches in enumerate(STEPS):
            if cut and k == 2:
                checkpoint.save(tmp_path, 2, step, {})
                model = llama()
                fresh = torch.optim.AdamW(model.parameters(), 1e-3)
                step = stepper(model, mollm(), ProjectedForget(), optimizer=fresh)
                checkpoint.load(tmp_path, step)
            step(batches, 1e-2)
        ends.append((flat(model.parameters()), flat(step.carried[0])))
    assert torch.equal(ends[0][0], ends[1][0])
    assert torch.equal(ends[0][1], ends[1][1])


def test_a_point_of_another_solver_starts_the_average_anew(tmp_path):
    step = stepper(llama(), mollm(), DualSpaceMGDA())
    step(STEPS[0], 0.1)
    checkpoint.save(tmp_path, 1, step, {})
    other = stepper(llama(), mollm(), ProjectedForget())
    checkpoint.load(tmp_path, other)
    assert other.carried == [[None] * len(other.parameters)]
    assert np.isfinite(other(STEPS[1], 0.1).losses).all()


def test_a_solver_that_carries_nothing_pays_nothing(tmp_path):
    step = stepper(llama(), mollm(), DualSpaceMGDA())
    result = step(STEPS[0], 0.1)
    assert step.carried == []
    assert result.choice.weights.shape == (3,)
    saved = checkpoint.save(tmp_path, 1, step, {})
    assert not [name for name in load_file(str(saved / checkpoint.TENSORS)) if name.startswith("carried")]


def test_what_is_remembered_moves_with_the_optimizer_only():
    """A step that is refused leaves the average as it was: the resume point is that of the step before."""
    spoilt = []

    def retain(outputs):
        total, count = cross_entropy(outputs)
        return total + (float("nan") if spoilt else 0.0), count  # the gradient stays finite

    loss = Loss("x", (grad_diff().objectives[0], Objective("retain", ("retain",), on("retain", retain))))
    step = stepper(llama(), loss, Remembering())
    step(STEPS[0], 0.1)
    before, state = flat(step.carried[0]), dict(step.remembered)
    spoilt.append(True)
    with pytest.raises(NonFiniteError, match="the loss of retain is not finite; the optimizer has not moved"):
        step(STEPS[1], 0.1)
    assert torch.equal(flat(step.carried[0]), before)
    assert step.remembered == state == {"asked": 1}


class Remembering(ProjectedForget):
    """It counts how often it was asked, too."""

    def solve(self, gram, losses, live, state):
        answer = super().solve(gram, losses, live, state)
        return dataclasses.replace(answer, state={"asked": state.get("asked", 0) + 1})
