"""Steps as long as their drift allows: the bracket, the bounds afterwards, and a run that goes on to the bit."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from mollm_cli.engine.pace import FACTOR, FIRST, NEAR, RANGE, SHRINK, Pace
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.losses.mollm import mollm
from mollm_cli.resume import checkpoint
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.counting import parameters
from tests.support.steps import stepper
from tests.support.tiny import batch, llama

WHOLE = {"forget": [batch(1, prefix="f")], "retain": [batch(2, prefix="r")]}
ADAMW = partial(torch.optim.AdamW, lr=1e-4)
SGD = partial(torch.optim.SGD, lr=1e-2, momentum=0.9)


@pytest.mark.parametrize("curvature", [1e-9, 1e-3, 1.0, 1e6])
def test_the_bracket_on_a_quadratic(curvature):
    before, now = torch.zeros(4), torch.nn.Parameter(torch.ones(4))
    scale = Pace(1e-4).bracket(lambda: curvature * float(now.detach().square().sum()), [now], [before])
    assert 1e-4 / NEAR <= curvature * float(now.detach().square().sum()) <= 1e-4 * NEAR
    assert now.detach().numpy() == pytest.approx(scale)


def test_a_drift_that_is_no_number_is_too_long():
    now = torch.nn.Parameter(torch.ones(1))
    seen = iter([float("nan"), 1e-4])
    assert Pace(1e-4).bracket(lambda: next(seen), [now], [torch.zeros(1)]) < 0.1


def test_within_the_budget_it_grows_above_it_shrinks_and_never_goes_far():
    pace = Pace(1e-4)
    assert pace.next(1.0, 1.0, 0.001, 0.02) > 1.0
    assert pace.next(1.0, 1.0, 0.021, 0.02) == pytest.approx((20 / 21) ** 0.5)
    assert pace.next(1.0, 1.0, 9.0, 0.02) == SHRINK == 0.9  # one batch may be far out by chance
    factor = 1.0
    for kl, end in ((0.0, RANGE), (9.0, 1 / RANGE)):
        for _ in range(60):
            factor = pace.next(1.0, factor, kl, 0.02)
        assert factor == end


def test_the_budget_opens_as_it_is_needed_and_no_further():
    pace = Pace(3e-5)
    spent = [pace.allowed(t, 0.02) for t in (0, 1, 10, 40, 60, 1e9)]
    assert spent[:3] == pytest.approx([3e-5, 3e-5 * 2**1.5, 3e-5 * 11**1.5]) and spent == sorted(spent)
    assert spent[3] < 0.02 and spent[5] == 0.02
    step = made(drift=3e-5)
    budgets = []
    for _ in range(3):
        budgets.append(step.liveness.budget)
        step(WHOLE, 1e-4)
    assert budgets == [pace.allowed(t, 0.02) for t in range(3)]
    step.pace = None
    assert step.liveness.budget == 0.02


def made(optimizer=ADAMW, loss=mollm, solver=DualSpaceMGDA, drift=1e-3, **direction):
    from mollm_cli.gradients.direction_settings import Direction

    model = llama()
    step = stepper(model, loss(), solver(), direction=Direction(retain="auto", **direction))
    step.optimizer, step.pace = optimizer(step.parameters), Pace(drift)
    return step


@pytest.mark.parametrize(
    "options",
    [{}, {"optimizer": SGD}, {"gram": "sketch"}, {"guard": False}, {"loss": ga_kl, "solver": WeightedSum}],
    ids=["mollm", "sgd", "sketch", "no guard", "ga_kl"],
)
def test_the_first_step_drifts_as_far_as_was_asked_whoever_takes_it(options):
    for drift in (1e-4, 1e-2):
        step = made(drift=drift, **options)
        first = step(WHOLE, 1e-4)
        second = step(WHOLE, 1e-4)
        kl = step.names.index("forward_kl")
        assert first.losses[kl] < 1e-9
        assert drift / NEAR <= second.losses[kl] <= drift * NEAR
        assert first.learning_rate == pytest.approx(1e-4 * step.remembered[FIRST])


def test_a_rate_that_was_given_is_that_of_every_step():
    step = made()
    step.pace = None
    assert [step(WHOLE, lr).learning_rate for lr in (1e-4, 3e-4)] == [1e-4, 3e-4]
    assert FACTOR not in step.remembered


def test_a_step_in_which_all_rest_is_not_the_first():
    step = made()
    step.target = 0.999
    before = parameters(step.model)
    step(WHOLE, 1e-4)
    assert FIRST not in step.remembered and torch.equal(before, parameters(step.model))


def test_resume_is_uninterrupted_to_the_bit(tmp_path):
    whole, first, second = made(), made(), made()
    for _ in range(6):
        whole(WHOLE, 1e-4)
    for _ in range(3):
        first(WHOLE, 1e-4)
    checkpoint.save(tmp_path, 3, first, {})
    checkpoint.load(tmp_path, second)
    for _ in range(3):
        second(WHOLE, 1e-4)
    assert torch.equal(parameters(whole.model), parameters(second.model))
    assert whole.remembered == second.remembered
