"""An objective that turns out to rest costs no backward pass between logged steps, and changes nothing."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from mollm_cli.engine.micro_batches import cut
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.gradients.liveness import Liveness
from mollm_cli.losses.mollm import mollm
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.normalized_sum import NormalizedSum
from tests.support.counting import counting, moved, parameters
from tests.support.steps import stepper
from tests.support.tiny import batch, llama, split

FORGET, RETAIN = batch(1, prefix="f"), batch(2, prefix="r")
WHOLE = {"forget": [FORGET], "retain": [RETAIN]}
BUDGET = {"kl_budget": 100.0}


def run(record, target=None, batches=WHOLE, solver=DualSpaceMGDA, **direction):
    model = llama()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    step = stepper(model, mollm(), solver(), direction=Direction(**direction), optimizer=optimizer, target=target)
    moved(model)
    counts = counting(model)
    results = [step(batches, 1e-3, record=record) for _ in range(3)]
    return parameters(model), counts, results


@pytest.mark.parametrize(
    ("direction", "target", "skipped"),
    [
        (BUDGET, None, 1),  # KL within its budget
        ({"kl_budget": 0.0}, 0.999, 1),  # forgetting at its target: its role is not sent backward at all
        (BUDGET, 0.999, 2),
        ({"kl_budget": 0.0}, None, 0),
        ({"paper": True}, 0.999, 0),
    ],
)
def test_it_is_skipped_where_nobody_records_it(direction, target, skipped):
    logged, counts, results = run(True, target, **direction)
    assert counts == {"forward": 6, "backward": 9}
    assert all(np.isfinite(r.descent.realised).all() for r in results)
    unlogged, counts, others = run(False, target, **direction)
    assert counts == {"forward": 6, "backward": 3 * (3 - skipped)}
    assert torch.equal(logged, unlogged), "what is logged must not change the run"
    for a, b in zip(results, others, strict=True):
        assert np.array_equal(a.weights, b.weights)
        assert a.choice.live.tolist() == b.choice.live.tolist()
        assert a.status is b.status


def test_what_was_not_measured_is_not_told_as_zero():
    _, _, results = run(False, **BUDGET)
    for result in results:
        assert np.isnan(result.descent.raw[2]) and np.isnan(result.descent.realised[2])
        assert np.isfinite(result.descent.realised[:2]).all()


def test_in_micro_batches_nobody_knows_before_the_last():
    parts = {"forget": split(FORGET, 2), "retain": split(RETAIN, 2)}
    _, counts, _ = run(False, batches=parts, **BUDGET)
    assert counts["backward"] == 3 * 3 * 2


def test_a_solver_without_budget_skips_at_the_start_only():
    """KL is exactly 0 at step 0; one step later it is live for a sum of unit rows."""
    model = llama()
    step = stepper(model, mollm(), NormalizedSum())
    counts = counting(model)
    step(WHOLE, 0.1, record=False)
    assert counts["backward"] == 2
    step(WHOLE, 0.1, record=False)
    assert counts["backward"] == 2 + 3


@pytest.mark.parametrize(
    "direction", [{}, {"metric": "adam"}, {"scope": "layer"}, {"gram": "sketch"}, {"gram": "factors"}], ids=str
)
def test_who_is_live_is_decided_once_in_a_step(direction, monkeypatch):
    decide, decided = Liveness.live, []

    def live(self, *told):
        decided.append(decide(self, *told))
        return decided[-1]

    monkeypatch.setattr(Liveness, "live", live)
    _, _, results = run(True, **direction)
    assert [x.tolist() for x in decided] == [r.choice.live.tolist() for r in results]


@pytest.mark.parametrize("gram", ["exact", "sketch"])
def test_a_stepper_that_nobody_holds_takes_its_parts_along_at_once(gram):
    """Its model is large: it must not wait for the garbage collector."""
    solver = DualSpaceMGDA()
    step, held = stepper(llama(), mollm(), solver, direction=Direction(gram=gram)), weakref.ref(solver)
    gc.disable()
    try:
        step(WHOLE, 1e-4)
        del step, solver
        assert held() is None
    finally:
        gc.enable()


def test_resting_is_rest_whatever_the_optimizer_carries(monkeypatch):
    """Retain goes on while forgetting rests; what AdamW has of past forget gradients goes nowhere."""

    def drift():
        model = llama()
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
        step = stepper(model, mollm(), DualSpaceMGDA(), optimizer=optimizer, target=1e-9)
        for _ in range(4):
            step(WHOLE, 1e-3)
        step.target = 0.999
        begun, *_, last = (step(WHOLE, 1e-3).forget_probability for _ in range(5))
        return abs(last / begun - 1)

    released = drift()
    monkeypatch.setattr("mollm_cli.engine.step_state.release_momentum", lambda optimizer: None)
    assert released < 0.25 * drift()


def test_the_target_is_read_on_rows_in_their_own_manner():
    """By hand: the mean of the other two rows' probabilities, whole and in micro-batches; the losses are of all."""
    every = run(True)[2][0].losses
    alone = [
        run(True, batches={"forget": [part], "retain": [RETAIN]})[2][0].forget_probability for part in split(FORGET, 1)
    ]
    mixed = replace(FORGET, reworded=(False, True, True, False))
    wanted = (alone[0] + alone[3]) / 2
    for rows in (4, 2, 1):
        found = run(True, batches=cut({"forget": [mixed], "retain": [RETAIN]}, rows))[2][0]
        assert found.forget_probability == pytest.approx(wanted, rel=1e-5)
        assert np.allclose(found.losses, every, rtol=1e-5)
    assert run(True)[2][0].forget_probability == pytest.approx(sum(alone) / 4, rel=1e-5)
