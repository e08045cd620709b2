"""Membership inference: every attack on four forget rows against four holdout rows, the sixteen pairs by hand."""

import math
from dataclasses import replace

import pytest

from mollm_cli.core.types import Example
from mollm_cli.metrics.mia import (
    lowest_mean,
    mia_blind,
    mia_gradnorm,
    mia_loss,
    mia_min_k,
    mia_min_k_plus_plus,
    mia_reference,
    mia_zlib,
)

ATTACKS = [mia_loss(), mia_zlib(), mia_min_k(), mia_min_k_plus_plus(), mia_reference(), mia_gradnorm(), mia_blind()]


def sets(forget, holdout):
    return {"forget": forget, "holdout": holdout}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_forget_rows_are_set_against_holdout_rows(attack):
    assert attack.sets == ("forget", "holdout")
    assert attack.required == {"forget", "holdout"}
    assert attack.better == "toward_yardstick"


def test_loss(score):
    forget, holdout = [0.9, 0.6, 0.5, 0.2], [0.7, 0.5, 0.3, 0.1]
    result = mia_loss().compute_across(sets([score([p]) for p in forget], [score([p]) for p in holdout]), None)
    # .9 is ahead of 4, .6 of 3, .5 of 2 and level with one, .2 ahead of 1.
    assert result.value == pytest.approx((4 + 3 + 2.5 + 1) / 16)
    assert result.per_example == pytest.approx([math.log(p) for p in forget])
    assert result.interval[0] < result.value < result.interval[1]


def test_forget_rows_are_the_members_and_without_holdout_there_is_no_value(score):
    scored = {"forget": [score([0.9]), score([0.8])], "holdout": [score([0.1]), score([0.2])]}
    assert mia_loss().compute_across(scored, None).value == 1.0
    assert mia_loss().compute_across({"forget": scored["forget"]}, None).value is None


def test_loss_is_a_mean_over_tokens(score):
    """Longer rows are not less likely ones."""
    result = mia_loss().compute_across(sets([score([0.5] * 20)], [score([0.4])]), None)
    assert result.value == 1.0


def test_zlib_asks_for_more_than_repetition(score):
    varied, dull = "".join(chr(33 + i) for i in range(90)), "a" * 90
    forget = [score([0.5], answer=varied)] * 4
    holdout = [score([0.5], answer=dull)] * 4
    result = mia_zlib().compute_across(sets(forget, holdout), None)
    assert result.value == 1.0  # equally likely, but the varied text is harder to guess
    assert result.per_example[0] == pytest.approx(math.log(0.5) / 98)  # 90 bytes that zlib stores, and 8 of its own
    assert mia_loss().compute_across(sets(forget, holdout), None).value == 0.5


def test_zlib_counts_bytes(score):
    ascii, other = score([0.5], answer="abc"), score([0.5], answer="äöü")
    scores = mia_zlib().compute_across(sets([ascii, other], [ascii]), None).per_example
    assert scores[0] < scores[1]  # 3 bytes against 6


def test_min_k(score):
    """Of five tokens a fifth is the least likely one; the others say the opposite."""
    forget = [score([low, 0.6, 0.6, 0.6, 0.6]) for low in (0.5, 0.4, 0.3, 0.2)]
    holdout = [score([1.0, 1.0, low, 1.0, 1.0]) for low in (0.4, 0.3, 0.2, 0.1)]
    result = mia_min_k().compute_across(sets(forget, holdout), None)
    assert result.value == pytest.approx((4 + 3.5 + 2.5 + 1.5) / 16)
    assert result.per_example == pytest.approx([math.log(low) for low in (0.5, 0.4, 0.3, 0.2)])


@pytest.mark.parametrize(
    ("values", "k", "expected"),
    [
        ([5, 1, 2, 3, 4, 9, 9, 9, 9, 9], 0.2, 1.5),
        ([5, 1, 2, 3, 4, 9, 9, 9, 9, 9], 0.3, 2.0),  # .3 * 10 is 2.9999999999999996 in float64, 3 tokens all the same
        ([4, 2, 3], 0.2, 2.0),  # at least one
        ([4, 2, 3], 1.0, 3.0),
        ([7], 0.2, 7.0),
        ([3, 9, 9, 5, 9, 9, 9], 0.4, 4.0),  # .4 * 7 is 2.8: rounded down
    ],
)
def test_lowest_share(values, k, expected):
    assert lowest_mean(values, k) == pytest.approx(expected)


def test_min_k_plus_plus(score):
    def row(log_p, mean, deviation):
        return replace(score(), log_probs=log_p, token_means=mean, token_deviations=deviation)

    member = row((-1.0, -3.0), (-2.0, -2.0), (0.5, 0.5))  # z = 2 and -2; the lower half of two is -2
    other = row((-1.0, -1.0), (0.0, 0.0), (0.25, 0.25))  # z = -4
    result = mia_min_k_plus_plus().compute_across(sets([member] * 4, [other, other, other, member]), None)
    assert result.per_example == pytest.approx([-2.0] * 4)
    assert result.value == pytest.approx((4 * 3 + 4 * 0.5) / 16)


def test_a_sure_model_divides_by_nothing(score):
    sure = replace(score(), log_probs=(0.0,), token_means=(0.0,), token_deviations=(0.0,))
    assert mia_min_k_plus_plus().compute_across(sets([sure], [sure]), None).per_example == (0.0,)


def test_reference(score):
    ours = sets([score([p]) for p in (0.8, 0.4, 0.4, 0.1)], [score([0.5])] * 4)
    theirs = sets([score([p]) for p in (0.2, 0.2, 0.4, 0.2)], [score([0.5])] * 4)
    result = mia_reference().compute_across(ours, theirs)
    assert result.per_example == pytest.approx([math.log(4), math.log(2), 0.0, -math.log(2)])
    assert result.value == pytest.approx((4 + 4 + 2 + 0) / 16)


def test_the_oracle_is_no_likelier_than_itself(score):
    own = sets([score([0.9]), score([0.2])], [score([0.1]), score([0.3])])
    result = mia_reference().compute_across(own, own)
    assert (result.value, result.interval) == (0.5, (0.5, 0.5))


def test_reference_without_an_oracle_is_undefined(score):
    assert mia_reference().compute_across(sets([score()], [score()]), None).value is None


def test_gradnorm_takes_small_gradients_for_membership(score):
    forget = [replace(score(), gradient_norm=norm) for norm in (0.1, 0.2, 0.3, 4.0)]
    holdout = [replace(score(), gradient_norm=norm) for norm in (0.2, 0.5, 1.0, None)]
    result = mia_gradnorm().compute_across(sets(forget, holdout), None)
    assert result.value == pytest.approx((3 + 2.5 + 2 + 0) / 12)  # the row without a norm is left out
    assert result.per_example == (-0.1, -0.2, -0.3, -4.0)


def test_blind_reads_the_length_of_the_answer_alone(score):
    def rows(*lengths):
        return [replace(score(), example=Example("row", "q", "x" * length)) for length in lengths]

    result = mia_blind().compute_across(sets(rows(9, 8, 7, 6), rows(8, 7, 6, 5)), None)
    assert result.value == pytest.approx((4 + 3.5 + 2.5 + 1.5) / 16)
    assert result.per_example == (9.0, 8.0, 7.0, 6.0)


@pytest.mark.parametrize("attack", [mia_min_k, mia_min_k_plus_plus])
@pytest.mark.parametrize("k", [0, -0.1, 1.1, math.nan])
def test_a_share_that_is_none_is_refused(attack, k):
    with pytest.raises(
        ValueError, match=rf"{attack.__name__}: k must be in \(0, 1\], found {k}; the usual share is 0.2"
    ):
        attack(k)
