import pytest

from mollm_cli.metrics.exact_memorization import ExactMemorization


def test_share_of_argmax_tokens_per_example_then_the_mean(score):
    examples = [score([0.5] * 4, [True, False, True, False]), score([0.5], [True])]
    result = ExactMemorization().compute(examples, None)
    assert result.per_example == (0.5, 1.0)
    assert result.value == pytest.approx(0.75)
