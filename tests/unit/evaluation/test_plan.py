import pytest

from mollm_cli.core.types import Example
from mollm_cli.evaluation.plan import better, flat_name, plan
from mollm_cli.metrics.exact_memorization import ExactMemorization
from mollm_cli.metrics.extraction_strength import ExtractionStrength
from mollm_cli.metrics.forget_quality import ForgetQuality
from mollm_cli.metrics.perplexity import Perplexity
from mollm_cli.metrics.probability import Probability
from mollm_cli.metrics.rouge_l import RougeL
from mollm_cli.metrics.truth_ratio import TruthRatio

METRICS = [
    Probability(),
    RougeL(),
    ExactMemorization(),
    ExtractionStrength(),
    TruthRatio("forget"),
    TruthRatio("retain"),
    ForgetQuality(),
    Perplexity(),
]
PERTURBED = [Example("0", "question", "answer", perturbed_answers=("false",))]
PLAIN = [Example("0", "question", "answer")]
TEXT = [Example("0", "", "a story")]


def names(sets, oracle=False):
    return set(plan(METRICS, sets, oracle))


def test_questions_with_perturbed_answers_get_all_but_perplexity():
    four = {"probability", "rouge_l", "exact_memorization", "extraction_strength"}
    assert names({"forget": PERTURBED}) == {f"forget_{m}" for m in four | {"truth_ratio"}}
    assert names({"forget": PERTURBED}, oracle=True) - names({"forget": PERTURBED}) == {"forget_quality"}
    assert names({"retain": PERTURBED}, oracle=True) == {f"retain_{m}" for m in four | {"truth_ratio"}}
    assert names({"real_authors": PLAIN}, oracle=True) == {f"real_authors_{m}" for m in four}


@pytest.mark.parametrize(("name", "side"), [("forget", "forget"), ("holdout", "forget"), ("retain_test", "retain")])
def test_each_set_gets_the_truth_ratio_of_its_side(name, side):
    _, metric = plan(METRICS, {name: PERTURBED}, False)[f"{name}_truth_ratio"]
    assert metric.side == side


def test_plain_text_gets_perplexity_and_in_a_role_what_needs_no_prompt():
    assert names({"text": TEXT}) == {"text_perplexity"}
    three = {"perplexity", "probability", "exact_memorization"}
    assert names({"retain": TEXT}, oracle=True) == {f"retain_{m}" for m in three}


def test_an_empty_set_is_not_measured():
    assert names({"holdout": []}) == set()


def test_a_name_does_not_double_its_set():
    assert flat_name("forget", "forget_quality") == "forget_quality"
    assert flat_name("forget_test", "forget_quality") == "forget_test_forget_quality"
    assert flat_name("retain", "rouge_l") == "retain_rouge_l"


def test_on_the_forget_side_better_is_toward_the_yardstick():
    assert better(Probability(), "forget") == better(Probability(), "forget_test") == "toward_yardstick"
    assert better(Probability(), "retain") == "higher"
    assert better(Perplexity(), "retain") == "lower"
    assert better(ForgetQuality(), "forget") == "higher"  # a comparison with the yardstick already
