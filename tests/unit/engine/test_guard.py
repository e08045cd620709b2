"""The guard in the engine: no live objective rises, whatever the optimizer adds; the metric; the losses after."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from mollm_cli.engine.record import step_record
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.losses.mollm import mollm
from mollm_cli.resume import checkpoint
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.normalized_sum import NormalizedSum
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.steps import stepper
from tests.support.tiny import batch, llama

STEPS = 12
ALL_LIVE = {"kl_budget": 0.0, "forget_target": None, "guard": False}


def adamw(model, lr, **more):
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr, **more)


def momentum(model, lr, **more):
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr, momentum=0.9, **more)


def run(model, optimizer, lr, steps=STEPS, start=0, solver=DualSpaceMGDA, **direction):
    """Steps on batches that change, so that momentum points where the last batch wanted to go."""
    step = stepper(
        model,
        mollm(retain_weight=3, kl_weight=3),
        solver(),
        direction=Direction(**(ALL_LIVE | direction)),
        optimizer=optimizer(model, lr),
        clip=1.0,
    )
    return step, go(step, lr, start, steps)


def go(step, lr, start, steps):
    return [step(batches(k), lr) for k in range(start, steps)]


def batches(k):
    """Three batches come round, and what is forgotten now is retained next: momentum points the wrong way."""
    return {"forget": [batch(k % 3, prefix="f", rows=2)], "retain": [batch((k + 2) % 3, rows=2)]}


def rises(result, changes):
    """cos(g_i, Delta) of the live objectives."""
    scale = np.sqrt(np.diag(result.gram)) * result.descent.norm
    return (changes / np.where(scale > 0, scale, 1.0))[result.choice.live]


def highest(results, kind):
    return max(float(rises(r, getattr(r.descent, kind)).max(initial=-1.0)) for r in results)


def weights(step):
    return torch.cat([p.detach().reshape(-1) for p in step.parameters])


def lora(model):
    return get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]))


CASES = {
    "adamw": (llama, adamw, 5e-3, {}),
    "adamw, metric adam": (llama, adamw, 5e-3, {"metric": "adam"}),
    "sgd with momentum": (llama, momentum, 1.0, {}),
    "lora": (lambda: lora(llama()), adamw, 2e-2, {}),
    "normalized_sum": (llama, adamw, 5e-3, {"solver": NormalizedSum}),
    "weight decay": (llama, lambda m, lr: adamw(m, lr, weight_decay=0.5), 5e-3, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_no_live_objective_rises_in_float32(name):
    make, optimizer, lr, options = CASES[name]
    _, free = run(make(), optimizer, lr, **options)
    _, held = run(make(), optimizer, lr, guard=True, **options)
    assert highest(free, "realised") > 1e-4, "nothing to guard against: this test would show nothing"
    assert highest(held, "raw") > 1e-4
    assert highest(held, "realised") <= 1e-6
    assert all(0 <= r.descent.correction < 1 for r in held)
    assert any(r.descent.correction > 0 for r in held)
    assert all(r.descent.correction is None for r in free)


def test_a_step_that_needs_no_correction_is_the_same_to_the_bit():
    ends = []
    for guard in (False, True):
        step, results = run(llama(), adamw, 1e-4, steps=1, guard=guard)
        ends.append(weights(step))
    assert results[0].descent.correction == 0.0
    assert torch.equal(*ends)


def test_resume_with_the_guard_is_uninterrupted_to_the_bit(tmp_path):
    for metric in ("euclidean", "adam"):
        options = {"guard": True, "metric": metric}
        whole, results = run(llama(), adamw, 5e-3, **options)
        assert any(r.descent.correction > 0 for r in results)
        first, _ = run(llama(), adamw, 5e-3, steps=5, **options)
        checkpoint.save(tmp_path / metric, 5, first, {})
        second, _ = run(llama(), adamw, 5e-3, steps=0, **options)
        checkpoint.load(tmp_path / metric, second)
        go(second, 5e-3, 5, STEPS)
        assert torch.equal(weights(whole), weights(second))


@pytest.mark.parametrize("metric", ["euclidean", "adam"])
def test_the_prediction_is_what_the_optimizer_then_does(metric):
    """Momentum, P, clipping and decay included, in float32; before the correction."""
    _, results = run(llama(), lambda m, lr: adamw(m, lr, weight_decay=0.01), 1e-3, metric=metric, guard=True)
    for result in results:
        large = np.abs(result.predicted) > 1e-3 * np.sqrt(np.diag(result.gram)) * result.descent.norm
        assert large.any()
        assert result.predicted[large] == pytest.approx(result.descent.raw[large], rel=1e-2)


def test_weights_in_bfloat16_are_corrected_as_far_as_they_can_hold_it():
    """A weight's last bit is about 0.4 % of it: a correction below half of that is lost, and the record says so."""
    make = lambda: llama(dtype=torch.bfloat16)  # noqa: E731
    _, free = run(make(), adamw, 5e-3)
    _, held = run(make(), adamw, 5e-3, guard=True)
    assert highest(held, "raw") > 1e-3
    assert highest(held, "realised") < highest(free, "realised")
    assert highest(held, "realised") < 1e-2


def test_verify_measures_the_losses_of_the_same_batch_after_the_step():
    for loss, solver in ((mollm(), DualSpaceMGDA()), (ga_kl(), WeightedSum())):
        model = llama()
        step = stepper(model, loss, solver, direction=Direction(verify=True, **ALL_LIVE))
        result = step(batches(0), 0.1)
        again = stepper(model, loss, type(solver)(), direction=Direction(**ALL_LIVE))
        again.reference = step.reference
        assert again(batches(0), 0.1).losses == pytest.approx(result.after, rel=1e-6)
        assert result.after[0] < result.losses[0]
        names = [o.name for o in loss.objectives]
        assert f"after.{names[0]}" in step_record(result, names, 0.1, 1.0)
    assert step(batches(0), 0.1, record=False).after is None


def test_the_record_of_a_guarded_step():
    names = [o.name for o in mollm().objectives]
    _, (free, *_) = run(llama(), adamw, 1e-3)
    _, (held, *_) = run(llama(), adamw, 1e-3, guard=True)
    told = step_record(held, names, 1e-3, 1.0)
    assert {f"raw.{n}" for n in names} < set(told)
    assert told["step_norm"] == held.descent.norm > 0
    assert told["correction"] == held.descent.correction
    plain = step_record(free, names, 1e-3, 1.0)
    assert not any(key.startswith("raw.") or key == "correction" for key in plain)
    assert plain[f"realised.{names[0]}"] == free.descent.raw[0]


def test_a_step_that_is_not_logged_is_guarded_too():
    model = llama()
    step, _ = run(model, adamw, 5e-3, steps=0, guard=True)
    results = [step(batches(k), 5e-3, record=False) for k in range(STEPS)]
    assert any(r.descent.correction > 0 for r in results)
    assert highest(results, "realised") <= 1e-6
    assert all(r.predicted is None for r in results)


def test_the_literal_reading_has_no_guard():
    _, results = run(llama(), adamw, 5e-3, steps=2, guard=True, paper=True)
    assert all(r.descent.correction is None for r in results)
