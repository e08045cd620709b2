"""direction.refresh_every: weights that serve for several steps."""

from __future__ import annotations

import pytest
import torch

from mollm_cli.core.errors import NonFiniteError
from mollm_cli.core.solution import Status
from mollm_cli.engine.record import step_record
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.mollm import mollm
from mollm_cli.resume import checkpoint
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.counting import counting, moved, parameters
from tests.support.steps import stepper
from tests.support.tiny import batch, llama, opt, split

FORGET, RETAIN = batch(1, prefix="f"), batch(2, prefix="r")
WHOLE = {"forget": [FORGET], "retain": [RETAIN]}
LIVE = {"kl_budget": 0.0, "forget_target": None}


def batches(k):
    return {"forget": [batch(k, prefix="f")], "retain": [batch(k + 9, prefix="r")]}


@pytest.mark.parametrize("every", [1, 2, 4])
@pytest.mark.parametrize("gram", ["exact", "sketch"])
def test_every_kth_step_solves_and_the_others_cost_one_backward_a_role(every, gram):
    model = llama()
    direction = Direction(**LIVE, refresh_every=every, gram=gram)
    step = stepper(model, mollm(), DualSpaceMGDA(), direction=direction)
    moved(model)
    counts, solving = counting(model), {"exact": 3, "sketch": 4}[gram]
    for k in range(8):
        before = dict(counts)
        result = step(batches(k), 0.01)
        solves = k % every == 0
        assert counts["backward"] - before["backward"] == (solving if solves else 2)
        assert counts["forward"] - before["forward"] == 2
        assert (result.status is Status.REUSED) is not solves
        assert (result.choice is not None) is (result.descent is not None) is (result.gram is not None) is solves


def test_a_reused_step_is_a_weighted_sum_with_the_weights_of_the_solved_one():
    model, twin = opt(), opt()
    step = stepper(model, mollm(), DualSpaceMGDA(), direction=Direction(**LIVE, refresh_every=3, guard=False))
    moved(model)
    solved = step(WHOLE, 0.1)
    twin.load_state_dict(model.state_dict())
    for k in (1, 2):
        plain = stepper(twin, mollm(*solved.weights), WeightedSum())
        plain.reference = step.reference
        plain(batches(k), 0.1)
        reused = step(batches(k), 0.1)
        assert reused.weights == pytest.approx(solved.weights, rel=1e-12)
        assert (parameters(model) - parameters(twin)).abs().max() < 1e-12
    assert step(batches(3), 0.1).weights != pytest.approx(solved.weights, rel=1e-6)


def test_the_record_of_a_reused_step_has_no_first_order_changes():
    model = llama()
    step = stepper(model, mollm(), DualSpaceMGDA(), direction=Direction(**LIVE, refresh_every=2, verify=True))
    moved(model)
    names = [o.name for o in mollm().objectives]
    solved, reused = (step_record(step(batches(k), 0.01), names, 0.01, 1.0) for k in range(2))
    assert solved["status"] != "reused"
    assert reused["status"] == "reused"
    assert {f"weight.{n}" for n in names} | {f"after.{n}" for n in names} < set(reused)
    absent = ("realised.", "predicted.", "raw.", "norm.", "cosine.", "step_norm", "correction", "rising")
    assert not any(key.startswith(absent) for key in reused)
    assert all(any(key.startswith(start) for key in solved) for start in absent)


def test_an_objective_that_rests_by_now_gets_nothing():
    """KL was live when the weights were made; it is within its budget when they are used."""
    step = stepper(llama(), mollm(), DualSpaceMGDA(), direction=Direction(refresh_every=4))
    moved(step.model)
    solved = step(WHOLE, 1e-4)
    assert solved.choice.live.all() and (solved.weights > 0).all()
    step.model.load_state_dict(step.reference._model.state_dict())  # back at the start, where KL is 0
    reused = step(WHOLE, 1e-4)
    assert reused.weights[2] == 0
    assert reused.weights[:2] == pytest.approx(solved.weights[:2])


def test_forgetting_rests_at_its_target_and_then_one_role_is_sent_backward():
    model = llama()
    step = stepper(model, mollm(), DualSpaceMGDA(), direction=Direction(**LIVE | {"refresh_every": 4}))
    moved(model)
    step(WHOLE, 1e-4)
    step.target = 0.999  # reached from now on
    counts = counting(model)
    reused = step(WHOLE, 1e-4)
    assert reused.weights[0] == 0 and (reused.weights[1:] > 0).all()
    assert counts == {"forward": 2, "backward": 1}
    # in micro-batches the batch's probability is known only when all of them were sent backward
    assert step({"forget": split(FORGET, 2), "retain": [RETAIN]}, 1e-4).weights[0] > 0


def test_where_all_rest_nothing_moves():
    step = stepper(llama(), mollm(), DualSpaceMGDA(), direction=Direction(refresh_every=4), target=0.999)
    step.remembered.update({"refresh.age": 0.0} | {f"refresh.weight.{o.name}": 0.0 for o in mollm().objectives})
    before = parameters(step.model)
    assert step(WHOLE, 0.1).gradient_norm == 0
    assert torch.equal(parameters(step.model), before)


def test_resume_in_the_middle_of_a_round_is_uninterrupted_to_the_bit(tmp_path):
    ends, ways = [], []
    for cut in (False, True):
        model = llama()
        new = lambda m: stepper(  # noqa: E731
            m,
            mollm(),
            DualSpaceMGDA(),
            direction=Direction(**LIVE, refresh_every=3),
            optimizer=torch.optim.AdamW(m.parameters(), 1e-3),
        )
        step, way = new(model), []
        for k in range(6):
            if cut and k == 2:
                checkpoint.save(tmp_path, 2, step, {})
                model = llama(seed=5)
                fresh = new(model)
                fresh.reference = step.reference
                checkpoint.load(tmp_path, fresh)
                step = fresh
            way.append(step(batches(k), 1e-2).status is Status.REUSED)
        ends.append(parameters(model))
        ways.append(way)
    assert ways[0] == ways[1] == [False, True, True] * 2
    assert torch.equal(*ends)


def test_a_step_that_is_refused_does_not_age_the_weights():
    step = stepper(llama(), mollm(), DualSpaceMGDA(), direction=Direction(**LIVE, refresh_every=3))
    step(WHOLE, 1e-4)
    before = dict(step.remembered)
    with torch.no_grad():
        kept = step.parameters[0].clone()
        step.parameters[0].fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="is not finite; the optimizer has not moved"):
        step(WHOLE, 1e-4)
    assert step.remembered == before
    with torch.no_grad():
        step.parameters[0].copy_(kept)
    assert step(WHOLE, 1e-4).status is Status.REUSED


def test_without_reuse_nothing_is_remembered():
    step = stepper(llama(), mollm(), DualSpaceMGDA())
    step(WHOLE, 1e-4)
    assert step.remembered == {}
