import pytest

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
