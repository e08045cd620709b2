import pytest

from mollm_cli.metrics.probability import Probability


def test_geometric_mean_of_each_answer_then_the_mean_over_examples(score):
    result = Probability().compute([score([0.25, 1.0]), score([0.1])], None)
    assert result.per_example == pytest.approx((0.5, 0.1))  # sqrt(.25 * 1) and .1
    assert result.value == pytest.approx(0.3)


def test_length_of_an_answer_has_no_weight(score):
    result = Probability().compute([score([0.5] * 100), score([1.0])], None)
    assert result.value == pytest.approx(0.75)  # not (100 * .5 + 1) / 101


def test_no_examples_have_no_probability():
    assert Probability().compute([], None).value is None
