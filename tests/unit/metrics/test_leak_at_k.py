"""The best of k draws, against every subset of k."""

import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mollm_cli.core.types import Example, Scored
from mollm_cli.metrics.bootstrap import mean_interval
from mollm_cli.metrics.leak_at_k import LeakAtK, expected_maximum


def drawn(*samples, answer="a b c d"):
    return Scored("row", Example("row", "question", answer), (-1.0,), (True,), samples=samples)


SAMPLES = ("a b", "x", "", "a b c d", "d c", "b c d x y")
RECALLS = (0.5, 0, 0, 1, 0.25, 0.75)  # by hand: LCS / 4 words; of "d c" one word is in order


@pytest.mark.parametrize("k", range(1, 7))
def test_it_is_the_mean_of_the_maximum_over_all_subsets(k):
    subsets = list(combinations(RECALLS, k))
    result = LeakAtK(k).compute([drawn(*SAMPLES)], None)
    assert result.per_example == (pytest.approx(sum(map(max, subsets)) / len(subsets)),)
    assert result.value == result.per_example[0]


@pytest.mark.parametrize("k", range(1, 7))
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.75, 1.0])
def test_with_a_threshold_it_is_the_share_of_subsets_that_reach_it(k, threshold):
    subsets = list(combinations(RECALLS, k))
    share = sum(max(subset) >= threshold for subset in subsets) / len(subsets)
    found = LeakAtK(k, threshold).compute([drawn(*SAMPLES)], None).value
    assert found == pytest.approx(share)
    n, c = len(RECALLS), sum(recall >= threshold for recall in RECALLS)
    assert found == pytest.approx(1 - math.comb(n - c, k) / math.comb(n, k))  # as published


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.data())
def test_any_values(values, data):
    k = data.draw(st.integers(1, len(values)))
    subsets = list(combinations(values, k))
    assert expected_maximum(sorted(values), k) == pytest.approx(sum(map(max, subsets)) / len(subsets))


def test_many_draws_do_not_overflow():
    """C(5000, 16) has 46 digits; of one value all subsets have the same maximum."""
    assert expected_maximum([0.5] * 5000, 16) == pytest.approx(0.5)


def test_the_order_of_draws_does_not_matter():
    values = [LeakAtK(3).compute([drawn(*samples)], None).value for samples in (SAMPLES, SAMPLES[::-1])]
    assert values[0] == values[1]


def test_fewer_than_k_draws_say_nothing():
    result = LeakAtK(3).compute([drawn("a", "b"), drawn("a b", "a", "x"), drawn()], None)
    assert result.per_example == (None, 0.5, None)
    assert (result.value, result.interval) == (0.5, None)
    assert dict(result.details) == {"k": 3, "n": 0}


def test_an_answer_without_a_word_cannot_leak():
    assert LeakAtK(1).compute([drawn("?!", answer="?!")], None).per_example == (None,)


def test_an_answer_without_spaces_leaks_by_character():
    """Of 灯塔由老马塔看守 (8 characters) the better draw has five in order."""
    found = LeakAtK(2).compute([drawn("老马塔看守着", "灯塔", answer="灯塔由老马塔看守。")], None)
    assert found.per_example == (5 / 8,)


def test_mean_interval_and_details():
    rows = [drawn("a b", "x"), drawn("a b c d", "x", "x"), drawn("x", "y")]
    result = LeakAtK(1, threshold=0.5).compute(rows, None)
    assert result.per_example == (pytest.approx(1 / 2), pytest.approx(1 / 3), 0)
    assert result.value == pytest.approx(5 / 18)
    assert result.interval == mean_interval(list(result.per_example))
    assert dict(result.details) == {"k": 1, "n": 2, "threshold": 0.5}
    assert LeakAtK(1).compute([], None).value is None


def test_its_unit_says_which_form_it_is():
    assert (LeakAtK().unit, LeakAtK(threshold=0.5).unit) == ("share of words", "probability")
    assert LeakAtK.needs == {"samples"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "leak_at_k: k must be >= 1, found 0"),
        ({"threshold": 0}, r"leak_at_k: threshold must be in \(0, 1\] or null, found 0"),
        ({"threshold": 1.5}, r"leak_at_k: threshold must be in \(0, 1\] or null, found 1.5"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LeakAtK(**options)


def test_of_no_rows_there_are_no_draws():
    assert LeakAtK(1).compute([], None).details["n"] == 0
