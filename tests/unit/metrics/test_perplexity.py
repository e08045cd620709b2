import math

import pytest

from mollm_cli.core.types import Example, Scored
from mollm_cli.metrics.perplexity import Perplexity


def test_every_token_weighs_the_same_over_all_rows(score):
    result = Perplexity().compute([score([0.5, 0.5, 0.5]), score([1 / 16])], None)
    assert result.value == pytest.approx(2 ** ((3 * 1 + 4) / 4))  # not the mean of 2 and 16
    assert result.per_example == pytest.approx((2.0, 16.0))


def test_a_ruined_model_has_a_finite_perplexity():
    scored = Scored("row", Example("row", "", "text"), (-1e6,), (False,))
    assert Perplexity().compute([scored], None).value == pytest.approx(math.exp(700))


def test_no_rows_have_no_perplexity():
    assert Perplexity().compute([], None).value is None
