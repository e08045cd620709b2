"""Every loss in the step: the least forward passes, micro-batches, its plain sum, what it trains, what it remembers."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.dpo import dpo
from mollm_cli.losses.pdu import pdu
from mollm_cli.losses.rmu import rmu
from mollm_cli.models.forward import forward, forward_hidden
from mollm_cli.models.reference import Reference
from mollm_cli.models.trainable import restrict
from mollm_cli.objectives.cross_entropy import cross_entropy
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.primal_dual import PrimalDual
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.losses import LOSSES
from tests.support.steps import stepper
from tests.support.tiny import batch, llama, opt, split

ROWS = {"forget": batch(1, prefix="f"), "retain": batch(2, prefix="r"), "alternate": batch(3, prefix="a")}
PASSES = {  # forward passes of the model, of the reference
    "ga": (1, 0),
    "ga_kl": (2, 1),
    "ga_mismatch_kl": (3, 1),
    "grad_diff": (2, 0),
    "npo": (2, 1),
    "npo+kl": (2, 2),
    "simnpo": (2, 0),
    "dpo": (3, 2),
    "undial": (1, 1),
    "undial+ce": (2, 1),
    "ceu": (1, 0),
    "wga": (2, 0),
    "satimp": (2, 0),
    "pdu": (2, 0),
    "rmu": (2, 1),
    "mollm": (2, 1),
    "mollm+alternate": (3, 1),
    "mollm_pair": (2, 1),
}


BOTH = [pytest.param(WeightedSum, marks=pytest.mark.slow), DualSpaceMGDA]
"""Without a Gram matrix and with one, which goes the longer way."""


def batches(loss, size=4):
    return {role: split(ROWS[role], size) for role in loss.roles}


def parameters(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def moved(model):
    """A model that is not its own reference any more, so that what compares is alive."""
    torch.manual_seed(3)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))


def test_no_loss_is_missing_here():
    assert LOSSES.keys() == PASSES.keys()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("solver", BOTH)
def test_the_least_number_of_forward_passes(name, solver):
    model, loss, seen = llama(), LOSSES[name], {"model": 0, "reference": 0}
    step = stepper(model, loss, solver())
    model.model.layers[0].register_forward_hook(lambda *a: seen.__setitem__("model", seen["model"] + 1))
    if loss.needs_reference:
        first = step.reference._model.model.layers[0]
        first.register_forward_hook(lambda *a: seen.__setitem__("reference", seen["reference"] + 1))
    step(batches(loss), 0.1)
    assert (seen["model"], seen["reference"]) == PASSES[name]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("solver", BOTH)
def test_micro_batches_give_the_same_step(name, solver):
    """Rows of different lengths: a mean of micro-batch means would show. So would pairs that are torn apart."""
    loss, ends = LOSSES[name], []
    for size in (4, 3, 1):
        model = llama(dtype=torch.float64)
        step = stepper(model, loss, solver())
        moved(model)
        result = step(batches(loss, size), 0.1)
        ends.append((parameters(model), result.losses))
    for other in ends[1:]:
        assert (ends[0][0] - other[0]).abs().max() < 1e-9
        assert np.allclose(ends[0][1], other[1], rtol=1e-11)


class FixedThroughGram(WeightedSum):
    """The weighted sum, but by way of the Gram matrix."""

    needs = frozenset({"gram"})


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("solver", [pytest.param(WeightedSum, marks=pytest.mark.slow), FixedThroughGram])
def test_the_step_is_that_of_the_plain_weighted_sum(name, solver):
    loss, model = LOSSES[name], opt()
    plain = copy.deepcopy(model)
    direction = Direction(paper=True, normalise="none", rescale=False, guard=False)
    step, reference = stepper(model, loss, solver(), direction=direction), Reference(plain, "copy")
    moved(model)
    moved(plain)
    step(batches(loss), 0.1)
    outputs = {}
    for role in loss.roles:
        layer, rows = loss.layer(role), ROWS[role]
        if layer is None:
            outputs[role] = forward(plain, rows, reference)
        else:
            outputs[role] = forward_hidden(plain, rows, layer, reference.hidden(rows, layer))
    total = 0
    for objective in loss.objectives:
        value, count = objective.function(outputs)
        total = total + objective.weight * value / count
    total.backward()
    expected = torch.cat([(p - 0.1 * (0 if p.grad is None else p.grad)).reshape(-1) for p in plain.parameters()])
    assert (parameters(model) - expected).abs().max() < 1e-11
    assert (parameters(model) - parameters(plain)).abs().max() > 1e-6


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_in_float32_and_bf16_is_finite(name):
    loss = LOSSES[name]
    for bf16 in (False, True):
        step = stepper(llama(), loss, WeightedSum())
        step.bf16 = bf16
        for _ in range(2):
            assert np.isfinite(step(batches(loss), 1e-3).losses).all()


def test_preference_is_log_2_at_the_start():
    result = stepper(llama(dtype=torch.float64), dpo(), WeightedSum())(batches(dpo()), 0.1)
    assert result.losses[0] == pytest.approx(math.log(2), rel=1e-12)


def test_dpo_raises_the_alternate_answers_over_those_to_forget():
    model = opt()
    before = {role: cross_entropy(forward(model, rows))[0].item() for role, rows in ROWS.items()}
    stepper(model, dpo(retain_weight=0.0), WeightedSum())(batches(dpo()), 0.01)
    after = {role: cross_entropy(forward(model, rows))[0].item() for role, rows in ROWS.items()}
    assert after["alternate"] < before["alternate"] and after["forget"] > before["forget"]


def test_rmu_stops_at_its_layer_and_trains_the_down_projections_alone():
    loss, model = rmu(layer=0), llama()
    restrict(model, loss)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    above = []
    step = stepper(model, loss, WeightedSum())
    model.model.layers[1].register_forward_hook(lambda *a: above.append(1))
    result = step(batches(loss), 0.1)
    changed = [name for name, p in model.named_parameters() if not torch.equal(p, start[name])]
    assert changed == ["model.layers.0.mlp.down_proj.weight"]
    assert above == []
    assert result.forget_probability is None  # no logits were computed
    assert result.losses[1] == 0


def test_pdu_raises_its_multiplier_with_the_losses_of_the_step_before():
    loss, model = pdu(eps=1.0, retain_weight=2.0), llama(dtype=torch.float64)
    step = stepper(model, loss, PrimalDual(step_size=0.5, warmup_steps=1))
    weights, losses = [], []
    for _ in range(4):
        result = step(batches(loss), 1e-3)
        weights.append(result.weights[1])
        losses.append(result.losses[1])
        assert result.weights[0] == 1.0
    # steps 1 and 2: the start, then the loss of step 1, which belongs to the warm-up
    expected = [2.0, 2.0, 2.0 + 0.5 * (losses[1] - 1.0)]
    expected.append(expected[2] + 0.5 * (losses[2] - 1.0))
    assert weights == pytest.approx(expected, rel=1e-12)
    assert losses[1] > 1.5  # well above the bound


def test_what_pdu_remembers_is_all_that_a_resumed_run_needs():
    loss = pdu(eps=1.0)
    model = llama(dtype=torch.float64)
    step = stepper(model, loss, PrimalDual(warmup_steps=0))
    step(batches(loss), 1e-3)
    step(batches(loss), 1e-3)
    resumed = stepper(copy.deepcopy(model), loss, PrimalDual(warmup_steps=0))
    resumed.remembered.update(step.remembered)
    assert resumed(batches(loss), 1e-3).weights.tolist() == step(batches(loss), 1e-3).weights.tolist()
    assert all(isinstance(value, (int, float)) for value in step.remembered.values())


def test_a_solver_that_reads_no_losses_leaves_none_behind():
    step = stepper(llama(), LOSSES["grad_diff"], WeightedSum())
    step(batches(LOSSES["grad_diff"]), 0.1)
    assert step.remembered == {}
