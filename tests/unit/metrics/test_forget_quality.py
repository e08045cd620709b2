import math
from itertools import combinations
from statistics import NormalDist

import numpy as np
import pytest

from mollm_cli.metrics.bootstrap import draws
from mollm_cli.metrics.forget_quality import ForgetQuality


def rows(score, ratios):
    return [score(paraphrase=0.1, perturbed=[0.1 * ratio]) for ratio in ratios]


def test_equal_samples_have_p_value_one(score):
    sample = rows(score, [0.5, 0.7, 1.0, 1.3])
    assert ForgetQuality().compute(sample, sample).value == pytest.approx(1.0)


def test_fully_separated_samples_have_the_p_value_counted_by_hand(score):
    low, high = rows(score, [0.1, 0.2, 0.3]), rows(score, [2.0, 3.0, 4.0])
    # Of the 6!/(3! 3!) = 20 equally likely orders, the two with all of one sample first are this far apart.
    assert ForgetQuality().compute(low, high).value == pytest.approx(2 / 20)


def test_order_of_rows_and_scale_of_ratios_do_not_count(score):
    ours, theirs = [0.1, 0.2, 0.3, 1.4], [0.5, 0.6, 0.7, 2.0]
    straight = ForgetQuality().compute(rows(score, ours), rows(score, theirs)).value
    turned = (
        ForgetQuality().compute(rows(score, [3 * r for r in ours[::-1]]), rows(score, [3 * r for r in theirs])).value
    )
    assert straight == pytest.approx(turned)
    assert 0.01 < straight < 0.9


@pytest.mark.parametrize("oracle", [None, []])
def test_without_an_oracle_it_is_undefined(score, oracle):
    assert ForgetQuality().compute(rows(score, [0.5]), oracle).value is None


def test_without_perturbed_answers_it_is_undefined(score):
    assert ForgetQuality().compute([score()], rows(score, [0.5])).value is None


def distance(ours, theirs):
    """The largest distance of two distribution functions, counted at every value."""
    at = [(sum(x <= v for x in ours) / len(ours), sum(x <= v for x in theirs) / len(theirs)) for v in [*ours, *theirs]]
    return max(abs(left - right) for left, right in at)


def test_published_definition_on_fixed_inputs(score):
    """r from token log-probabilities, then the share of all equally likely orders that are at least so far apart."""
    # r = geometric mean of the perturbed answers over the paraphrase: sqrt(.1 * .4) / .5 = .4, .03 / .1 = .3, ...
    ours = [
        score(paraphrase=0.5, perturbed=[0.1, 0.4]),
        score(paraphrase=0.1, perturbed=[0.03]),
        score([0.2, 0.8], perturbed=[0.2]),  # no paraphrase: the answer's own sqrt(.2 * .8) = .4 stands in, r = .5
        score(paraphrase=0.5, perturbed=[0.6]),  # 1.2
    ]
    theirs = rows(score, [0.45, 1.0, 1.1, 1.3, 1.5])
    ratios, oracle = [0.4, 0.3, 0.5, 1.2], [0.45, 1.0, 1.1, 1.3, 1.5]
    orders = [distance(picked, [*{*range(9)} - {*picked}]) for picked in combinations(range(9), 4)]
    found = distance(ratios, oracle)
    assert found == pytest.approx(3 / 4 - 1 / 5)  # at .5: three of ours, one of theirs
    expected = sum(other >= found - 1e-12 for other in orders) / len(orders)
    result = ForgetQuality().compute(ours, theirs)
    assert result.value == pytest.approx(expected)
    assert result.details == {"D": pytest.approx(found), "n": 4, "power": "no power"}  # other rows: no interval of D


def test_the_oracle_against_itself_is_perfect(score):
    sample = rows(score, [0.1 + 0.01 * i for i in range(100)])
    result = ForgetQuality().compute(sample, sample)
    assert result.value == pytest.approx(1.0)
    assert result.details == {"D": 0.0, "n": 100, "power": "ok", "D_low": 0.0, "D_high": 0.0}
    assert result.interval is None


@pytest.mark.parametrize("shift", [-2.5, 2.5])
def test_models_that_know_and_models_that_over_forgot_are_shown_as_such(score, shift):
    """400 rows as in TOFU's forget10: either side of the oracle is far from it, and the distance is told."""
    spread = NormalDist(0, 0.3)
    oracle = [spread.inv_cdf((i + 0.5) / 400) for i in range(400)]
    theirs = rows(score, [math.exp(x) for x in oracle])
    result = ForgetQuality().compute(rows(score, [math.exp(x + shift) for x in oracle]), theirs)
    assert result.value < 1e-200
    assert result.details["D"] == pytest.approx(1.0)
    assert result.details["D_low"] > 0.99
    assert result.details["power"] == "ok"


def test_the_interval_of_the_distance_equals_a_loop_over_samples(score):
    for ours, theirs in (([0.1, 0.5, 0.5, 0.9, 1.4], [0.5, 0.2, 1.6, 0.7, 0.7]), ([0.1, 0.9], [0.5, 0.7])):
        blocks = draws(len(ours))
        values = [distance(np.repeat(ours, counts), np.repeat(theirs, counts)) for block in blocks for counts in block]
        found = ForgetQuality().compute(rows(score, ours), rows(score, theirs)).details
        assert (found["D_low"], found["D_high"]) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert "D_low" not in ForgetQuality().compute(rows(score, [0.1]), rows(score, [0.5])).details
