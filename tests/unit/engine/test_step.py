"""One optimizer step: equal to what it abbreviates, and no more expensive than it says."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from mollm_cli.core.errors import NonFiniteError
from mollm_cli.core.types import Loss, Objective
from mollm_cli.engine.batch_losses import role_groups
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.ga import ga
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.losses.mollm import mollm
from mollm_cli.losses.npo import npo
from mollm_cli.models.forward import forward
from mollm_cli.models.reference import Reference
from mollm_cli.objectives.label_log_probs import on
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.normalized_sum import NormalizedSum
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.steps import stepper
from tests.support.tiny import batch, llama, opt, split

FORGET, RETAIN = batch(1, prefix="f"), batch(2, prefix="r")
WHOLE = {"forget": [FORGET], "retain": [RETAIN]}
PARTS = {"forget": split(FORGET, 1), "retain": split(RETAIN, 1)}


def parameters(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def moved_reference(model, seed=3):
    """A model that is not its own reference any more, so that KL is alive."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))


class FixedThroughGram(WeightedSum):
    """The weighted sum, but by way of the Gram matrix."""

    needs = frozenset({"gram"})


@pytest.mark.parametrize("loss", [ga(), ga_kl(0.7, 1.3), npo(), mollm(0.5, 2.0, 1.5)], ids=lambda x: x.name)
def test_weighted_sum_by_the_solver_path_is_one_plain_backward(loss):
    results = []
    for solver in (WeightedSum(), FixedThroughGram()):
        model = opt()
        step = stepper(model, loss, solver, direction=Direction(paper=True, normalise="none", rescale=False))
        moved_reference(model)
        step(WHOLE, 0.1)
        results.append(parameters(model))
    assert (results[0] - results[1]).abs().max() < 1e-12

    model = opt()
    reference = Reference(model, "copy")
    moved_reference(model)
    total = 0
    outputs = {r: forward(model, b[0], reference) for r, b in WHOLE.items()}
    for objective in loss.objectives:
        value, count = objective.function(outputs)
        total = total + objective.weight * value / count
    total.backward()
    with torch.no_grad():
        plain = torch.cat([(p - 0.1 * p.grad).reshape(-1) for p in model.parameters()])
    assert (results[0] - plain).abs().max() < 1e-12


@pytest.mark.parametrize("solver", [WeightedSum, DualSpaceMGDA, NormalizedSum], ids=lambda s: s.name)
def test_accumulation_equals_the_large_batch(solver):
    ends = []
    for batches in (WHOLE, PARTS, {"forget": split(FORGET, 3), "retain": split(RETAIN, 3)}):
        model = llama(dtype=torch.float64)
        step = stepper(model, mollm(), solver())
        moved_reference(model)
        result = step(batches, 0.1)
        ends.append((parameters(model), result.losses, result.forget_probability))
    for other in ends[1:]:
        assert (ends[0][0] - other[0]).abs().max() < 1e-10
        assert np.allclose(ends[0][1], other[1], rtol=1e-12)
        assert ends[0][2] == pytest.approx(other[2], rel=1e-6)


def test_accumulation_in_float32_to_1e_6():
    ends = []
    for batches in (WHOLE, PARTS):
        model = llama()
        stepper(model, mollm(), DualSpaceMGDA())(batches, 0.1)
        ends.append(parameters(model))
    assert (ends[0] - ends[1]).abs().max() < 1e-6


def counting(model):
    counts = {"forward": 0, "backward": 0}
    model.register_forward_hook(lambda *a: counts.__setitem__("forward", counts["forward"] + 1))
    # a gradient reaches the first layer's input norm once per backward pass through the model
    weight = model.model.layers[0].input_layernorm.weight
    weight.register_hook(lambda g: counts.__setitem__("backward", counts["backward"] + 1))
    return counts


@pytest.mark.parametrize(
    ("loss", "solver", "forwards", "backwards"),
    [
        (ga(), WeightedSum, 1, 1),
        (ga_kl(), WeightedSum, 2, 2),
        (mollm(), WeightedSum, 2, 2),
        (mollm(), DualSpaceMGDA, 2, 3),
    ],
)
def test_the_least_number_of_passes(loss, solver, forwards, backwards):
    model = llama()
    step = stepper(model, loss, solver())
    counts = counting(model)
    step(WHOLE, 0.1)
    assert counts == {"forward": forwards, "backward": backwards}


def test_the_reference_is_forwarded_on_retain_only():
    model = llama()
    step = stepper(model, mollm(), DualSpaceMGDA())
    seen = []
    step.reference._model.register_forward_hook(lambda *a: seen.append(1))
    step(WHOLE, 0.1)
    assert len(seen) == 1


def test_predicted_equals_realised_under_plain_sgd():
    model = llama(dtype=torch.float64)
    step = stepper(model, mollm(), DualSpaceMGDA())
    moved_reference(model)
    result = step(WHOLE, 0.01)
    assert np.allclose(result.predicted, result.descent.realised, rtol=1e-9)
    assert (result.descent.realised[result.choice.live] < 0).all()


def test_realised_includes_what_the_optimizer_adds():
    model = llama(dtype=torch.float64)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.0)
    result = stepper(model, mollm(), DualSpaceMGDA(), optimizer=optimizer)(WHOLE, 1e-3)
    assert result.predicted == pytest.approx(result.descent.realised, rel=1e-6)
    assert not np.allclose(-1e-3 * (result.gram @ result.choice.weights), result.descent.realised, rtol=0.01)


def test_the_losses_really_fall_along_the_common_direction():
    model = llama(dtype=torch.float64)
    step = stepper(model, mollm(), DualSpaceMGDA())
    moved_reference(model)
    before = step(WHOLE, 1e-4).losses
    after = step(WHOLE, 1e-4).losses
    assert (after < before).all()


def test_trap_1_the_model_moves_at_step_0_and_paper_mode_does_not():
    for paper, moves in ((False, True), (True, False)):
        model = llama()
        start = parameters(model)
        result = stepper(model, mollm(), DualSpaceMGDA(), direction=Direction(paper=paper))(WHOLE, 0.1)
        assert bool((parameters(model) != start).any()) is moves
        assert torch.isfinite(parameters(model)).all()
        assert result.losses[2] == 0.0


def test_lora_gradients_of_a_are_zero_at_the_start_and_it_still_moves():
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(llama(), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    step = stepper(model, mollm(), DualSpaceMGDA(), kind="adapter_off")
    start = parameters(model)
    result = step(WHOLE, 0.1)
    assert result.losses[2] == 0.0
    assert (parameters(model) != start).any()
    assert np.isfinite(step(WHOLE, 0.1).losses).all()
    assert step.reference.bytes == 0


def test_clipping_bounds_the_step():
    model = llama(dtype=torch.float64)
    start = parameters(model)
    result = stepper(model, ga(), WeightedSum(), clip=1e-3)(WHOLE, 1.0)
    assert result.gradient_norm > 1e-3
    assert torch.linalg.norm(parameters(model) - start).item() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("clip", [None, 1e-3, 1e3])
def test_adams_metric_has_the_rows_at_the_length_of_the_direction_clipped(clip):
    """(1 - b2) mean_i |s_i g_i|^2 is what the second moment of the first step sums to."""
    model = llama(dtype=torch.float64)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, (0.9, 0.99))
    direction = Direction(metric="adam", kl_budget=0.0, guard=False)
    step = stepper(model, mollm(), DualSpaceMGDA(), optimizer=optimizer, direction=direction, clip=clip)
    moved_reference(model)
    result = step(WHOLE, 1e-3)
    assert result.choice.live.all()
    mean = float(np.sqrt(np.diag(result.gram)).mean())
    assert 1e-3 < mean < 1e3
    fed = sum(float(state["exp_avg_sq"].sum()) for state in optimizer.state.values())
    assert (fed / 0.01) ** 0.5 == pytest.approx(1e-3 if clip == 1e-3 else mean)


@pytest.mark.parametrize("solver", [WeightedSum, DualSpaceMGDA])
def test_a_loss_that_is_not_finite_stops_before_the_optimizer_moves(solver):
    broken = Objective("broken", ("retain",), on("retain", lambda o: (o.logits.sum() * float("nan"), 1)))
    model = llama()
    start = parameters(model)
    with pytest.raises(NonFiniteError, match="of broken is not finite; the optimizer has not moved"):
        stepper(model, Loss("x", (*ga().objectives, broken)), solver())(WHOLE, 0.1)
    assert (parameters(model) == start).all()


def test_a_gradient_that_is_not_finite_stops_before_the_optimizer_moves():
    cliff = Objective(
        "cliff", ("retain",), on("retain", lambda o: ((o.logits - o.logits.detach()).abs().sqrt().sum(), 1))
    )
    for solver in (WeightedSum(), DualSpaceMGDA()):
        model = llama()
        start = parameters(model)
        with pytest.raises(NonFiniteError, match="the gradient of cliff is not finite"):
            stepper(model, Loss("x", (cliff,)), solver)(WHOLE, 0.1)
        assert (parameters(model) == start).all()


def test_forget_probability_by_hand():
    model = llama(dtype=torch.float64)
    step = stepper(copy.deepcopy(model), mollm(), WeightedSum())
    expected = []
    for row in split(FORGET, 1):
        logits = model(input_ids=row.input_ids, attention_mask=row.attention_mask).logits[0].log_softmax(-1)
        picked = [logits[t, y].item() for t, y in enumerate(row.labels[0, 1:].tolist()) if y != -100]
        expected.append(np.exp(np.mean(picked)))
    assert step(WHOLE, 0.1).forget_probability == pytest.approx(np.mean(expected), rel=1e-6)


def test_role_groups():
    def row(*roles):
        return Objective("x", roles, lambda o: (o, 1))

    assert role_groups([row("forget"), row("retain"), row("retain")]) == [((0,), ("forget",)), ((1, 2), ("retain",))]
    assert role_groups([row("forget"), row("retain"), row("forget", "alternate")]) == [
        ((1,), ("retain",)),
        ((0, 2), ("forget", "alternate")),
    ]


class Counting(DualSpaceMGDA):
    """A solver that remembers how often it was asked."""

    def solve(self, gram, losses, live, state):
        answer = super().solve(gram, losses, live, state)
        return dataclasses.replace(answer, state={"asked": state.get("asked", 0) + 1})


def test_what_a_solver_remembers_comes_back_at_the_next_step():
    step = stepper(llama(), mollm(), Counting())
    step(WHOLE, 0.1)
    step(WHOLE, 0.1)
    assert step.remembered == {"asked": 2}
