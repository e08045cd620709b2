import pytest

from mollm_cli.evaluation.measuring import Evaluation
from mollm_cli.evaluation.suite import Suite
from mollm_cli.evaluation.verdict import forget_verdict, judge, retain_verdict


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([0.30] * 40, "matched"),
        ([0.38] * 40, "matched"),
        ([0.90] * 40, "under"),
        ([0.01] * 40, "over"),
        ([0.0] * 20 + [0.6] * 20, "matched"),  # spread .3, standard error .3 / sqrt(40) = .047: +-.078
        ([0.0] * 35 + [1.0] * 15, "unknown"),  # mean .3 to the letter, but +-.107: not shown to match
        ([0.0, 0.6], "unknown"),  # two rows show nothing
        ([0.2, 0.7, 0.5], "under"),  # mean .47: above by more than the margin
        ([0.5, None, 0.5], "under"),
        ([0.3] * 40 + [None], "unknown"),  # one row without a value: nothing matched
        ([None], "unknown"),
        ([], "unknown"),
    ],
)
def test_against_a_yardstick_of_point_three(probabilities, expected):
    assert forget_verdict(probabilities, 0.30, 0.10) == expected


def test_the_margin_decides():
    assert forget_verdict([0.45] * 40, 0.30, 0.20) == "matched"
    assert forget_verdict([0.45] * 40, 0.30, 0.10) == "under"


def test_the_interval_is_one_of_ninety_percent():
    """A normal sample of standard error .05: +-.082 at 90 %, +-.098 at 95 %, +-.050 at 68 %."""
    import numpy as np

    draw = np.random.default_rng(1).normal(size=400)
    sample = 0.5 + (draw - draw.mean()) / draw.std()
    assert forget_verdict(list(sample), 0.5, 0.090) == "matched"
    assert forget_verdict(list(sample), 0.5, 0.075) == "unknown"


def test_without_a_yardstick_it_is_unknown():
    assert forget_verdict([0.3] * 40, None, 0.10) == "unknown"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(0.8, 0.76, "kept"), (0.8, 0.75, "damaged"), (0.8, 0.9, "kept"), (None, 0.9, "unknown"), (0.8, None, "unknown")],
)
def test_retain(before, after, expected):
    assert retain_verdict(before, after, 0.95) == expected


def evaluation(forget, retain=0.9, holdout=None):
    values = {"forget_probability": forget, "retain_probability": retain, "holdout_probability": holdout}
    return Evaluation(values, {}, {"forget": {"probability": [forget] * 30}})


SUITE = Suite(metrics={})


def test_the_oracle_is_the_yardstick_before_holdout():
    before, after = evaluation(0.9, holdout=0.1), evaluation(0.5)
    assert judge(before, after, evaluation(0.5), SUITE) == (
        "oracle",
        {"forget": "matched", "retain": "kept"},
    )
    assert judge(before, after, None, SUITE)[0] == "holdout"
    assert judge(before, after, None, SUITE)[1]["forget"] == "under"
    assert judge(evaluation(0.9), after, None, SUITE)[0] == "none"
    assert judge(evaluation(0.9), after, None, SUITE)[1]["forget"] == "unknown"


def test_a_model_judged_as_it_is_has_no_retain_verdict():
    assert judge(None, evaluation(0.5), None, SUITE) == (
        "none",
        {"forget": "unknown", "retain": "unknown"},
    )
    assert judge(None, Evaluation({}, {}, {}), evaluation(0.5), SUITE)[1]["forget"] == "unknown"


def test_retain_rows_without_a_value_were_not_kept():
    before, after = evaluation(0.9), evaluation(0.5)
    after.rows["retain_probability"] = (29, 30)
    assert judge(before, after, None, SUITE)[1]["retain"] == "unknown"
    after.values["retain_probability"] = 0.1
    assert judge(before, after, None, SUITE)[1]["retain"] == "damaged"
