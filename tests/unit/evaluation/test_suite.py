from dataclasses import replace
from types import SimpleNamespace

import pytest

from mollm_cli.core.types import Example
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.clock import Clock
from mollm_cli.evaluation.measuring import evaluate, score_sets
from mollm_cli.evaluation.suite import Suite
from mollm_cli.evaluation.teacher_forcing import teacher_forced
from mollm_cli.metrics.exact_memorization import ExactMemorization
from mollm_cli.metrics.extraction_strength import ExtractionStrength
from mollm_cli.metrics.forget_quality import ForgetQuality
from mollm_cli.metrics.leak_at_k import LeakAtK
from mollm_cli.metrics.perplexity import Perplexity
from mollm_cli.metrics.probability import Probability
from mollm_cli.metrics.rouge_l import RougeL
from mollm_cli.metrics.truth_ratio import TruthRatio

METRICS = {
    "probability": Probability(),
    "rouge_l": RougeL(),
    "exact_memorization": ExactMemorization(),
    "extraction_strength": ExtractionStrength(),
    "truth_ratio": TruthRatio("forget"),
    "truth_ratio_utility": TruthRatio("retain"),
    "forget_quality": ForgetQuality(),
    "perplexity": Perplexity(),
}
SUITE = Suite(METRICS, generate_tokens=5, batch_size=3)
QA = Dataset("qa", path="unread", prompt_field="q", answer_field="a", template="none", max_tokens=32)
TEXT = Dataset("text", path="unread", kind="text", text_field="text", max_tokens=32)


def question(i, perturbed=True):
    return Example(
        id=f"qa/{i}",
        prompt=" ".join(f"w{i + k}" for k in range(1 + i % 3)),
        answer=" ".join(f"w{3 * i + k}" for k in range(1 + i % 5)),
        paraphrased_answer=f"w{i} w{i + 7}" if i % 2 else None,
        perturbed_answers=(f"w{i + 20} w{i}", f"w{i + 30}") if perturbed else (),
    )


@pytest.fixture
def sets():
    return {
        "forget": Loaded(QA, [question(i) for i in range(7)], {}),
        "retain": Loaded(QA, [question(i) for i in range(7, 11)], {}),
        "facts": Loaded(QA, [question(i, perturbed=False) for i in range(2)], {}),
        "text": Loaded(TEXT, [Example("text/0", "", "w1 w2 w3 w4"), Example("text/1", "", "w5 w6")], {}),
    }


def test_values_records_and_columns_belong_together(tiny_model, tiny_tokenizer, sets):
    result = evaluate(tiny_model, tiny_tokenizer, sets, SUITE)
    assert set(result.values) == {
        *(f"forget_{m}" for m in METRICS if m not in ("truth_ratio_utility", "forget_quality", "perplexity")),
        *(f"retain_{m}" for m in METRICS if m not in ("truth_ratio_utility", "forget_quality", "perplexity")),
        *(f"facts_{m}" for m in ("probability", "rouge_l", "exact_memorization", "extraction_strength")),
        "text_perplexity",
    }
    for name, loaded in sets.items():
        assert [scored.example for scored in result.scored[name]] == loaded.examples
        for metric, column in result.per_example[name].items():
            assert len(column) == len(loaded.examples), metric
    column = result.per_example["forget"]["probability"]
    assert result.values["forget_probability"] == pytest.approx(sum(column) / 7)
    assert all(scored.generation is not None for scored in result.scored["forget"])
    assert all(scored.generation is None for scored in result.scored["text"])


def test_each_answer_is_scored_by_itself(tiny_model, tiny_tokenizer, sets):
    """The one pass over all answers is taken apart rightly."""
    encoder = Encoder(tiny_tokenizer)

    def alone(example, answer):
        encoded = encoder.encode_answer(example.prompt, answer, "none", 32)
        return teacher_forced(tiny_model, [encoded], encoder.pad_id, 1, tiny_model.device)[0]

    for scored in evaluate(tiny_model, tiny_tokenizer, sets, SUITE).scored["forget"]:
        example = scored.example
        assert scored.log_probs == pytest.approx(alone(example, example.answer).log_probs, abs=1e-5)
        false = [alone(example, answer).mean for answer in example.perturbed_answers]
        assert scored.perturbed_log_probs == pytest.approx(false, abs=1e-5)
        if example.paraphrased_answer is None:
            assert scored.paraphrase_log_prob is None
        else:
            expected = alone(example, example.paraphrased_answer).mean
            assert scored.paraphrase_log_prob == pytest.approx(expected, abs=1e-5)


def test_the_oracle_gives_forget_its_quality(tiny_model, tiny_tokenizer, sets):
    oracle = evaluate(tiny_model, tiny_tokenizer, sets, SUITE)
    result = evaluate(tiny_model, tiny_tokenizer, sets, SUITE, oracle.scored)
    assert set(result.values) - set(oracle.values) == {"forget_quality"}
    assert result.values["forget_quality"] == pytest.approx(1.0)
    assert "forget_quality" not in result.per_example["forget"]


def test_limit_takes_the_first_rows(tiny_model, tiny_tokenizer, sets):
    whole = evaluate(tiny_model, tiny_tokenizer, sets, SUITE)
    first = evaluate(tiny_model, tiny_tokenizer, sets, replace(SUITE, limit=2))
    assert [s.id for s in first.scored["forget"]] == ["qa/0", "qa/1"]
    column = whole.per_example["forget"]["probability"][:2]
    assert first.per_example["forget"]["probability"] == pytest.approx(column, abs=1e-5)


def test_what_no_metric_needs_is_not_done(tiny_model, tiny_tokenizer, sets):
    result = evaluate(tiny_model, tiny_tokenizer, sets, Suite({"probability": Probability()}))
    assert {(s.generation, s.perturbed_log_probs) for s in result.scored["forget"]} == {(None, ())}


def test_a_set_without_a_fitting_metric_is_not_scored(tiny_model, tiny_tokenizer, sets):
    result = evaluate(tiny_model, tiny_tokenizer, sets, Suite({"perplexity": Perplexity()}))
    assert set(result.scored) == set(result.per_example) == {"text"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generate_tokens": 0}, r"evaluation\.generate_tokens must be >= 1, found 0"),
        ({"batch_size": 0}, r"evaluation\.batch_size must be >= 1, found 0"),
        ({"limit": 0}, r"evaluation\.limit must be >= 1 or null, found 0"),
        ({"margin": 0}, r"evaluation\.margin must be > 0, found 0"),
        ({"factor": 1.0}, r"evaluation\.factor must be > 1, found 1.0"),
        ({"retain_share": 1.0}, r"evaluation\.retain_share must be in \(0, 1\), found 1.0"),
        ({"kept_on": "text"}, r"evaluation\.kept_on must be a list of names of sets, found 'text'"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SUITE, **change)


def test_a_metric_that_needs_the_unknown_is_refused():
    class Odd(Probability):
        needs = frozenset({"moon"})

    with pytest.raises(ValueError, match=r"metrics\.odd: needs must be among fluency, forget_side, .*; found moon"):
        Suite({"odd": Odd()})


def test_two_metrics_of_one_name_on_the_same_sets_are_refused():
    with pytest.raises(ValueError, match=r"evaluation\.metrics: names must differ .* found 'probability' twice"):
        Suite({"probability": Probability(), "again": Probability()})
    Suite({"forget": TruthRatio("forget"), "retain": TruthRatio("retain")})  # one name, on different sets


class Attack:
    """An attack as a suite sees it."""

    kind, headline, samples = "rewrite", "rouge_l", 0
    metrics = frozenset({"rouge_l"})

    def __init__(self, name):
        self.name = name


def test_an_attack_that_is_judged_by_what_is_not_measured_is_refused():
    wanted = r"evaluation\.attacks\.prefix is judged by rouge_l, .*; add \+metric@evaluation\.metrics\.rouge_l=rouge_l"
    with pytest.raises(ValueError, match=wanted):
        Suite({"probability": Probability()}, attacks={"prefix": Attack("prefix")})
    suite = Suite({"rouge_l": RougeL()}, attacks={"prefix": Attack("prefix")})
    assert list(suite.rewrites) == ["attack_prefix"]


def test_an_attack_that_draws_fewer_samples_than_its_metric_needs_is_refused():
    drawn = Attack("sampling")
    drawn.headline, drawn.samples = "leak_at_k", 8
    with pytest.raises(ValueError, match=r"attacks\.sampling\.samples must be at least .*leak_at_k\.k=16, found 8"):
        Suite({"leak_at_k": LeakAtK(k=16)}, attacks={"sampling": drawn})
    Suite({"leak_at_k": LeakAtK(k=8)}, attacks={"sampling": drawn})


def test_two_attacks_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"evaluation\.attacks: names must differ, found 'prefix' twice; rename 'b'"):
        Suite({"rouge_l": RougeL()}, attacks={"a": Attack("other"), "b": Attack("prefix"), "c": Attack("prefix")})


def test_without_membership_no_metric_sets_forget_rows_against_unseen_ones():
    gap = SimpleNamespace(name="gap", needs=frozenset(), required=frozenset({"forget", "holdout"}))
    metrics = {"gap": gap, "probability": Probability()}
    assert [m.name for m in Suite(metrics).chosen] == ["gap", "probability"]
    assert [m.name for m in Suite(metrics, membership=False).chosen] == ["probability"]


class Kept:
    """A keeper in memory."""

    def __init__(self):
        self.scores = {}

    def read(self, name, examples):
        return self.scores.get(name)

    def write(self, name, scored):
        self.scores[name] = scored


def test_scores_that_were_kept_are_not_taken_again(tiny_model, tiny_tokenizer, sets):
    keeper, clock = Kept(), Clock()
    first = score_sets(tiny_model, tiny_tokenizer, sets, SUITE, False, clock, keeper)
    assert keeper.scores == first and {"teacher_forcing", "generation"} <= set(clock.seconds)
    del keeper.scores["retain"]
    tiny_model.get_output_embeddings().weight.data.zero_()  # whatever is scored now comes out differently
    second = score_sets(tiny_model, tiny_tokenizer, sets, SUITE, False, Clock(), keeper)
    assert second["retain"] != first["retain"]
    assert {name: second[name] for name in second if name != "retain"} == {
        name: first[name] for name in first if name != "retain"
    }


def test_moments_gradients_and_samples_are_taken_where_they_are_needed(tiny_model, tiny_tokenizer, sets):
    class Curious(Probability):
        name, needs = "curious", frozenset({"moments", "gradient_norm", "forget_side"})

    result = evaluate(tiny_model, tiny_tokenizer, sets, Suite({"curious": Curious(), "probability": Probability()}))
    for scored in result.scored["forget"]:
        assert len(scored.token_means) == len(scored.token_deviations) == len(scored.log_probs)
        assert scored.gradient_norm > 0 and scored.samples == ()
    assert all(s.token_means == () and s.gradient_norm is None for s in result.scored["retain"])
