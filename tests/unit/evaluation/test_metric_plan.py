from types import SimpleNamespace

import pytest

from mollm_cli.core.types import Example
from mollm_cli.evaluation.metric_plan import better, flat_name, needs_by_set, plan
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


def test_of_probes_that_were_made_the_probability_is_measured_and_of_the_users_own_all():
    made, own = "probes_in_blanks", "probes_of_mine"
    assert names({made: PLAIN}) == {f"{made}_probability"}
    assert {f"{own}_probability", f"{own}_rouge_l"} <= names({own: PLAIN})
    assert {better(metric, name) for name, metric in plan(METRICS, {own: PLAIN}, False).values()} == {
        "toward_yardstick"
    }


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


class Utility:
    """A metric over several sets."""

    name, unit, version, better = "utility", "share", 1, "higher"
    needs = frozenset({"generation", "perturbed"})
    sets = ("retain", "facts")
    required = frozenset()

    def compute_across(self, scored, oracle):
        raise NotImplementedError


class Gap(Utility):
    name = "gap"
    needs = frozenset({"moments", "oracle"})
    sets = ("forget", "holdout")
    required = frozenset({"forget", "holdout"})


class Limited(Probability):
    name, limited = "verbatim", ("verbmem",)


class Leak(Probability):
    name, needs = "leak", frozenset({"samples"})


def rewrite(*metrics, samples=0):
    return SimpleNamespace(metrics=frozenset(metrics), samples=samples)


def test_a_metric_over_sets_is_measured_once_where_its_first_set_is():
    assert plan([Utility()], {"retain": PLAIN, "forget": PLAIN}, False).keys() == {"utility"}
    assert plan([Utility()], {"facts": PLAIN}, False) == {}
    assert plan([Gap()], {"forget": PLAIN, "holdout": PLAIN}, False) == {}  # without an oracle
    assert plan([Gap()], {"forget": PLAIN, "holdout": PLAIN}, True).keys() == {"gap"}


def test_every_set_it_reads_is_scored_for_what_the_set_can_offer():
    rows = {"retain": PERTURBED, "facts": PLAIN, "forget": PLAIN}
    assert needs_by_set(plan([Utility()], rows, False), rows) == {
        "retain": {"generation", "perturbed"},
        "facts": {"generation"},
    }
    rows = {"forget": TEXT, "holdout": TEXT}
    assert needs_by_set(plan([Gap()], rows, True), rows) == {"forget": {"moments"}, "holdout": {"moments"}}


def test_a_limited_metric_is_for_its_sets_alone():
    rows = {"verbmem": PLAIN, "forget": PLAIN}
    assert plan([Limited()], rows, False).keys() == {"verbmem_verbatim"}


def test_rows_of_an_attack_get_what_the_attack_asks_for():
    rewrites = {"attack_prefix": rewrite("rouge_l"), "attack_sampling": rewrite("leak", samples=4)}
    rows = dict.fromkeys(["forget", "attack_prefix", "attack_prefix_holdout", "attack_sampling"], PLAIN)
    found = plan([Probability(), RougeL(), Leak()], rows, False, rewrites)
    assert set(found) == {
        *("forget_probability", "forget_rouge_l"),
        *("attack_prefix_rouge_l", "attack_prefix_holdout_rouge_l", "attack_sampling_leak"),
    }
    assert needs_by_set(found, rows)["attack_sampling"] == {"samples"}


@pytest.mark.parametrize("name", ["attack_prefix", "forget_knowmem", "holdout"])
def test_all_rows_of_the_forget_sets_kind_are_compared_with_the_yardstick(name):
    assert better(Probability(), name) == "toward_yardstick"
    assert better(Probability(), "retain_knowmem") == "higher"
