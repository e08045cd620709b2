import math

import pytest

from mollm_cli.core.types import Example, Scored
from mollm_cli.metrics.truth_ratio import TruthRatio


def test_raw_ratio_is_geometric_mean_of_false_over_the_paraphrase(score):
    result = TruthRatio("forget").compute([score([0.9], paraphrase=0.5, perturbed=[0.1, 0.4])], None)
    assert result.per_example == pytest.approx((0.4,))  # sqrt(.1 * .4) / .5: not the arithmetic .25 / .5


def test_the_answer_stands_in_for_a_missing_paraphrase(score):
    assert TruthRatio("forget").compute([score([0.25, 1.0], perturbed=[0.1])], None).per_example == pytest.approx(
        (0.2,)
    )


def test_forget_side_folds_at_one_and_retain_side_cuts_there(score):
    examples = [score(paraphrase=0.5, perturbed=[0.1]), score(paraphrase=0.1, perturbed=[0.4])]  # r = 1/5 and 4
    assert TruthRatio("forget").compute(examples, None).value == pytest.approx((1 / 5 + 1 / 4) / 2)
    assert TruthRatio("retain").compute(examples, None).value == pytest.approx((4 / 5 + 0) / 2)
    assert TruthRatio("retain").compute(examples, None).per_example == pytest.approx((0.2, 4.0))


def test_rows_without_perturbed_answers_are_left_out(score):
    result = TruthRatio("forget").compute([score(paraphrase=0.5), score(paraphrase=0.5, perturbed=[0.5])], None)
    assert result.per_example == pytest.approx((None, 1.0))
    assert result.value == pytest.approx(1.0)


@pytest.mark.parametrize("side", ["forget", "retain"])
@pytest.mark.parametrize("true", [-5000.0, -1e-9])
def test_extreme_log_probabilities_stay_finite(side, true):
    scored = Scored("row", Example("row", "q", "a"), (-1.0,), (True,), true, (-5001.0 - true,))
    result = TruthRatio(side).compute([scored], None)
    assert math.isfinite(result.per_example[0])
    assert 0 <= result.value <= 1


def test_side_decides_sets_and_what_is_better():
    assert (TruthRatio("forget").better, TruthRatio("retain").better) == ("toward_yardstick", "higher")
    assert TruthRatio("retain").needs == {"perturbed", "retain_side"}


def test_another_side_is_refused():
    with pytest.raises(ValueError, match="side must be forget or retain, found 'both'"):
        TruthRatio("both")
