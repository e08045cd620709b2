import math

import pytest

from mollm_cli.core.types import Example, Scored
from mollm_cli.evaluation.measuring import Evaluation
from mollm_cli.evaluation.ratio_interval import of_mean, paired
from mollm_cli.evaluation.suite import Suite
from mollm_cli.evaluation.verdict import forget_verdict, judge, retain_verdict

SUITE = Suite(metrics={})


@pytest.mark.parametrize(
    ("probabilities", "target", "expected"),
    [
        ([0.30] * 40, 0.30, "matched"),
        ([0.44] * 40, 0.30, "matched"),
        ([0.21] * 40, 0.30, "matched"),
        ([0.46] * 40, 0.30, "under"),
        ([0.19] * 40, 0.30, "over"),
        ([1e-6] * 40, 0.09, "over"),  # .09 away from .09, yet nothing that the yardstick would say
        ([0.0] * 40, 0.09, "over"),
        ([0.205] * 40, 0.173, "matched"),
        ([0.05, 0.4, 0.1, 0.3, 0.175], 0.173, "unknown"),  # mean .205, but five rows do not show it
        ([0.0] * 35 + [1.0] * 15, 0.30, "matched"),  # +-.107 of .3: between 1 / 1.5 and 1.5
        ([0.0] * 14 + [1.0] * 6, 0.30, "unknown"),  # the same mean of fewer rows
        ([0.0, 0.6], 0.30, "unknown"),
        ([0.3], 0.30, "unknown"),
        ([0.9, None, 0.9, 0.9, 0.9, 0.9], 0.30, "under"),
        ([0.3] * 40 + [None], 0.30, "unknown"),  # one row without a value: nothing matched
        ([None], 0.30, "unknown"),
        ([], 0.30, "unknown"),
        ([0.3] * 40, None, "unknown"),
    ],
)
def test_forgotten_as_far_as_the_yardstick(probabilities, target, expected):
    assert forget_verdict(of_mean(probabilities, target), 1.5) == expected


def test_the_factor_decides():
    assert [forget_verdict(of_mean([0.45] * 40, 0.30), factor) for factor in (1.4, 1.6)] == ["under", "matched"]


def moved(*ratios):
    """A set whose rows' probabilities changed by these ratios."""
    return paired([math.log(0.1)] * len(ratios), [math.log(0.1 * ratio) for ratio in ratios])


SAME, FALLEN, RISEN, UNSURE = moved(*[1.0] * 9), moved(*[0.7] * 9), moved(*[4.0] * 9), moved(*[0.5, 2.0] * 5)


@pytest.mark.parametrize(
    ("unseen", "trained", "expected"),
    [
        ([SAME], [SAME], "kept"),
        ([SAME], [RISEN], "kept"),  # the trained rows were learned, and no others
        ([SAME, SAME], [], "kept"),
        ([SAME, FALLEN], [SAME], "damaged"),
        ([SAME], [FALLEN], "damaged"),
        ([RISEN], [SAME], "taught"),
        ([RISEN, FALLEN], [], "damaged"),
        ([SAME, UNSURE], [SAME], "unknown"),
        ([moved(0.5, 0.6)], [], "unknown"),  # two rows, both fallen
        ([moved(3.0, 4.0)], [SAME], "unknown"),
        ([], [SAME], "kept_on_trained_rows_only"),
        ([], [RISEN], "taught"),
        ([], [UNSURE], "unknown"),
        ([], [], "unknown"),
    ],
)
def test_kept_is_said_of_rows_that_were_not_trained_on(unseen, trained, expected):
    assert retain_verdict(unseen, trained, 0.95) == expected


def test_the_bounds_of_kept_are_a_share_and_its_inverse():
    for ratio, expected in ((0.94, "damaged"), (0.96, "kept"), (1.04, "kept"), (1.06, "taught")):
        assert retain_verdict([moved(*[ratio] * 9)], [], 0.95) == expected


def evaluation(forget, holdout=None, rows=30, **sets):
    """Sets by name: the probability of their rows; of plain text where the name is one of text."""
    scored = {
        name: [Scored(str(i), Example(str(i), "" if "text" in name else "?", "!"), (math.log(p),), (True,))] * rows
        for i, (name, p) in enumerate(sets.items())
    }
    values = {"forget_probability": forget, "holdout_probability": holdout}
    return Evaluation(values, scored, {"forget": {"probability": [forget] * rows}})


def test_the_oracle_is_the_yardstick_before_holdout():
    before, after = evaluation(0.9, holdout=0.1), evaluation(0.5)
    assert judge(before, after, evaluation(0.5), SUITE)[:2] == ("oracle", {"forget": "matched", "retain": "unknown"})
    assert judge(before, after, None, SUITE)[0] == "holdout"
    assert judge(before, after, None, SUITE)[1]["forget"] == "under"
    assert judge(evaluation(0.9), after, None, SUITE)[0] == "none"
    assert judge(evaluation(0.9), after, None, SUITE)[1]["forget"] == "unknown"


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("retain_test", True),
        ("neighbours", True),
        ("text", True),
        ("my_text", True),
        ("general", False),  # mixed into retain: trained on
        ("questions", False),  # nobody said that these are to stay
        ("forget_text", False),
        ("holdout", False),
        ("probes_text", False),
    ],
)
def test_the_sets_that_kept_is_read_on(name, read):
    before, after = (evaluation(0.9, retain=0.5, **{name: p}) for p in (0.3, 0.9))
    _, verdict, grounds = judge(before, after, None, SUITE, mixed={"general"})
    assert verdict["retain"] == ("taught" if read or name == "general" else "kept_on_trained_rows_only")
    assert grounds["retain"].get(name, {"trained": True})["trained"] is not read


def test_its_grounds_tell_ratio_rows_and_what_would_do():
    before, after = (evaluation(0.3, 0.3, rows=2, retain=0.5, retain_test=p) for p in (0.4, 0.2))
    _, verdict, grounds = judge(before, after, None, SUITE)
    assert verdict == {"forget": "unknown", "retain": "unknown"}
    assert grounds["forget"]["rows_needed"] == grounds["retain"]["retain_test"]["rows_needed"] == 5
    assert grounds["retain"]["retain_test"]["ratio"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("before", "after", "rows", "word"),
    [
        (0.014, 0.172, 12, "exposed"),
        (0.014, 0.014, 12, "matched"),
        (0.0144, 0.0147, 12, "matched"),  # within what counts as kept
        (0.172, 0.014, 12, "matched"),
        (0.0001, 0.009, 12, "matched"),  # ninety times next to nothing
        (0.014, 0.172, 3, "unknown"),  # three rows show nothing
    ],
)
def test_probes_that_rise_expose_what_was_forgotten(before, after, rows, word):
    there, then = (evaluation(0.3, 0.3, rows=rows, probes_of_mine=p) for p in (before, after))
    _, verdict, grounds = judge(there, then, None, SUITE)
    assert verdict["forget"] == word and grounds["probes"].keys() == {"probes_of_mine"}
    assert grounds["probes"]["probes_of_mine"]["ratio"] == pytest.approx(after / before)


def test_a_model_judged_as_it_is_has_no_retain_verdict():
    after = evaluation(0.5, retain=0.5)
    assert judge(None, after, None, SUITE)[:2] == ("none", {"forget": "unknown", "retain": "unknown"})
    assert judge(None, Evaluation({}, {}, {}), evaluation(0.5), SUITE)[1]["forget"] == "unknown"
