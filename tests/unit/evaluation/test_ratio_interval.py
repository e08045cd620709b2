import math
from statistics import fmean

import numpy as np
import pytest

from mollm_cli.evaluation.ratio_interval import FEWEST, LogRatio, of_mean, of_means, paired

UNEVEN = [0.02, 0.4, 0.1, 0.3, 0.25, 0.9, 0.05]
LATER = [0.03, 0.2, 0.1, 0.35, 0.2, 0.7, 0.04]


def twin(statistic, rows, runs=4000):
    """The 5 % and 95 % quantile of a statistic on rows drawn one by one, from another generator."""
    draw = np.random.default_rng(7)
    found = sorted(statistic([int(draw.integers(rows)) for _ in range(rows)]) for _ in range(runs))
    return found[int(0.05 * runs)], found[int(0.95 * runs) - 1]


@pytest.mark.parametrize(
    ("found", "statistic"),
    [
        (of_mean(UNEVEN, 0.2), lambda drawn: math.log(fmean(UNEVEN[i] for i in drawn) / 0.2)),
        (
            of_means(UNEVEN, LATER),
            lambda drawn: math.log(fmean(LATER[i] for i in drawn) / fmean(UNEVEN[i] for i in drawn)),
        ),
        (
            paired([math.log(p) for p in UNEVEN], [math.log(p) for p in LATER]),
            lambda drawn: fmean(math.log(LATER[i] / UNEVEN[i]) for i in drawn),
        ),
    ],
)
def test_the_interval_is_that_of_rows_drawn_one_by_one(found, statistic):
    low, high = twin(statistic, len(UNEVEN))
    assert found.value == pytest.approx(statistic(range(len(UNEVEN))))
    width = high - low
    assert found.low == pytest.approx(low, abs=0.07 * width) and found.high == pytest.approx(high, abs=0.07 * width)


@pytest.mark.parametrize(
    ("low", "high", "place"),
    [(-0.3, 0.2, "within"), (-0.5, 0.3, None), (-0.9, -0.5, "below"), (0.5, 0.9, "above"), (-0.9, -0.3, None)],
)
def test_only_a_whole_interval_has_a_place(low, high, place):
    found = LogRatio((low + high) / 2, low, high, 30)
    assert found.place(-0.4, 0.4) == place
    assert LogRatio(found.value, low, high, FEWEST - 1).place(-0.4, 0.4) is None


def test_within_is_said_of_all_rows():
    assert LogRatio(0, -0.1, 0.1, 30, whole=False).place(-0.4, 0.4) is None
    assert LogRatio(1, 0.9, 1.1, 30, whole=False).place(-0.4, 0.4) == "above"


def test_rows_that_would_do():
    """At .2 the bound .4 is half of the interval's half away: four times the rows; a value on a bound has no number."""
    assert LogRatio(0.2, -0.2, 0.6, 10).rows_needed(-0.4, 0.4) == 40
    assert LogRatio(0.4, 0.0, 0.8, 10).rows_needed(-0.4, 0.4) is None
    assert LogRatio(0.2, 0.2, 0.2, 1).rows_needed(-0.4, 0.4) == FEWEST
    told = LogRatio(math.log(2), 0.0, math.log(4), 10).told(-math.log(8), math.log(8))
    assert told == {
        "ratio": pytest.approx(2),
        "interval": [1, pytest.approx(4)],
        "bounds": [pytest.approx(1 / 8), pytest.approx(8)],
        "rows": 10,
        "rows_needed": None,
    }
    assert LogRatio(0.2, -0.2, 0.6, 10).told(-0.4, 0.4)["rows_needed"] == 40


def test_nothing_to_compare():
    assert (
        of_mean([0.3], None) is of_mean([None], 0.3) is of_mean([], 0.3) is paired([], []) is of_means([], []) is None
    )


def test_a_probability_of_zero_is_far_below_anything():
    assert of_mean([0.0] * 5, 1e-6).place(-0.4, 0.4) == "below"
