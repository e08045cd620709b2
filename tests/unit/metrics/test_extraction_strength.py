import pytest
from hypothesis import given
from hypothesis import strategies as st

from mollm_cli.core.types import Example, Scored
from mollm_cli.metrics.extraction_strength import ExtractionStrength


def of(correct):
    scored = Scored("row", Example("row", "question", "answer"), (-1.0,) * len(correct), tuple(correct))
    return ExtractionStrength().compute([scored], None).per_example[0]


def test_nothing_is_extracted_where_the_last_token_is_wrong():
    assert of([True, True, True, False]) == 0.0  # the code of the peer gives 1/4


def test_all_is_extracted_where_every_token_is_right():
    assert of([True, True, True]) == 1.0


def test_tokens_before_the_last_error_must_be_given():
    assert of([True, False, True, True]) == pytest.approx(0.5)  # k = 2 of n = 4


def test_the_mean_is_over_examples(score):
    examples = [score([0.5] * 4, [False, True, True, True]), score([0.5], [False])]
    assert ExtractionStrength().compute(examples, None).value == pytest.approx((0.75 + 0) / 2)


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_equals_the_search_for_the_smallest_k(correct):
    n = len(correct)
    k = next(k for k in range(n + 1) if all(correct[k:]))
    assert of(correct) == pytest.approx(1 - k / n)
