"""The curve of an attack on the weights."""

from __future__ import annotations

import math

import pytest
import torch

from mollm_cli.core.errors import NonFiniteError
from mollm_cli.evaluation.attacks.attack_protocol import Bench
from mollm_cli.evaluation.attacks.relearning import Relearning
from mollm_cli.evaluation.attacks.tampering import curve
from mollm_cli.evaluation.teacher_forcing import mean_probability
from mollm_cli.metrics.aggregate import mean_result
from tests.support.tiny import llama

CPU = torch.device("cpu")


def shrink(model, rows, settings):
    """A "training" that scales the head, so that every look sees other weights."""
    for step in (5, 10):
        with torch.no_grad():
            model.get_output_embeddings().weight.mul_(3.0)
        yield step


def test_every_point_is_measured_on_the_weights_of_its_moment(encoded):
    forget, retain = encoded(6), encoded(4, "retain")
    attack, bench = Relearning(), Bench({"forget": forget, "retain": retain}, shrink)
    points = curve(attack, llama(), bench, forget, {"retain": retain}, 0, 2, CPU)
    assert [x for x, _ in points] == [0.0, 5.0, 10.0]
    twin = llama()
    for k, (_, point) in enumerate(points):
        if k:
            next(shrink(twin, [], None))
        held_back = attack.measured(forget)
        assert point.keys() == {"probability", "retain_probability"}
        assert point["probability"].value == pytest.approx(mean_probability(twin, held_back, 0, 9, CPU), abs=1e-6)
        assert point["retain_probability"].value == pytest.approx(mean_probability(twin, retain, 0, 9, CPU), abs=1e-6)
        assert len(point["probability"].per_example) == 3
    assert len({point["probability"].value for _, point in points}) == 3


def test_the_interval_is_that_of_the_mean(encoded):
    forget = encoded(6)
    [(_, point)] = curve(
        Relearning(data="retain"), llama(), Bench({"forget": forget, "retain": forget}, _idle), forget, {}, 0, 2, CPU
    )
    result = point["probability"]
    assert result == mean_result(result.per_example)


def test_of_some_forget_rows_those_are_measured_that_were_not_given_away(encoded):
    forget = encoded(8)
    attack = Relearning()
    some = forget[:5]
    [(_, point)] = curve(attack, llama(), Bench({"forget": forget}, _idle), some, {}, 0, 2, CPU)
    held_back = [row for row in attack.measured(forget) if row in some]
    assert 0 < len(held_back) < 5
    assert point["probability"].value == pytest.approx(mean_probability(llama(), held_back, 0, 9, CPU), abs=1e-6)


def _ruined_weights(model, rows, settings):
    with torch.no_grad():
        model.get_output_embeddings().weight.fill_(math.nan)
    yield from (5, 10)


def _ruined_gradient(model, rows, settings):
    yield 5
    raise NonFiniteError("the gradient is not finite")


@pytest.mark.parametrize(
    ("ruin", "measured", "why"),
    [
        (_ruined_weights, [0.0], "log-probabilities must be finite"),
        (_ruined_gradient, [0.0, 5.0], "the gradient is not"),
    ],
)
def test_an_attack_that_ruins_the_model_ends_the_curve_and_says_nothing(encoded, ruin, measured, why):
    forget = encoded(4)
    points = curve(Relearning(), llama(), Bench({"forget": forget}, ruin), forget, {"retain": forget}, 0, 2, CPU)
    assert [x for x, point in points if point["probability"].value is not None] == measured
    assert points[-1][0] == 5.0
    for result in points[-1][1].values():
        assert (result.value, result.per_example) == (None, ())
        assert result.details["why"].startswith(why)


def _idle(model, rows, settings):
    return iter(())
