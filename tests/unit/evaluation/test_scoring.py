"""A set as a model sees it: texts beyond the context are scored whole, in windows."""

import math
from copy import deepcopy

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.clock import Clock
from mollm_cli.evaluation.gradient_norms import gradient_norms
from mollm_cli.evaluation.measuring import evaluate
from mollm_cli.evaluation.scoring import score
from mollm_cli.evaluation.suite import Suite
from mollm_cli.metrics.exact_memorization import ExactMemorization
from mollm_cli.metrics.perplexity import Perplexity
from mollm_cli.metrics.probability import Probability

SUITE = Suite({"perplexity": Perplexity()}, batch_size=3)
TEXTS = [" ".join(f"w{(7 * i + k * k) % 60}" for i in range(count)) for k, count in enumerate((29, 3, 11, 12, 40))]
MOST = 8


def loaded(texts=TEXTS, **changes):
    described = Dataset(
        **{"name": "t", "path": "unread", "kind": "text", "text_field": "text", "max_tokens": MOST, **changes}
    )
    return Loaded(described, [Example(f"t/{i}", "", text) for i, text in enumerate(texts)], {})


def scores(model, tokenizer, rows, needs=frozenset({"text"}), suite=SUITE):
    return score(model, Encoder(tokenizer), "wiki", rows, suite, needs, Clock())


def token_by_token(model, tokenizer, text, most):
    """(log p, argmax?) of each token after its context: all before it in the first window, then in strides of half."""
    ids = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
    found = []
    for place in range(1, len(ids)):
        strides = max(0, (place - most) // (most // 2) + 1)
        context = ids[strides * (most // 2) : place]
        with torch.no_grad():
            log_p = model(torch.tensor([context])).logits[0, -1].double().log_softmax(-1)
        found.append((log_p[ids[place]].item(), log_p.argmax().item() == ids[place]))
    return found


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_every_token_of_a_text_is_scored_after_its_own_context(tiny_model, tiny_tokenizer, batch_size):
    suite = Suite(SUITE.metrics, batch_size=batch_size)
    found = scores(tiny_model, tiny_tokenizer, loaded(windows=True), suite=suite)
    tiny_model.eval()
    for text, scored in zip(TEXTS, found, strict=True):
        expected = token_by_token(tiny_model, tiny_tokenizer, text, MOST)
        assert scored.log_probs == pytest.approx([log_p for log_p, _ in expected], abs=1e-5)
        assert list(scored.correct) == [right for _, right in expected]
        assert len(scored.log_probs) == len(text.split())  # the first has no predecessor, the end token is one


def test_nothing_is_drawn_where_no_number_is_said(tiny_model, tiny_tokenizer):
    described = Dataset(name="qa", path="unread", prompt_field="q", answer_field="a", template="none")
    rows = Loaded(described, [Example("qa/0", "w1 w2", "w3")], {})
    assert [scored.samples for scored in scores(tiny_model, tiny_tokenizer, rows, frozenset({"samples"}))] == [()]


def test_without_windows_a_text_is_cut(tiny_model, tiny_tokenizer):
    whole, cut = (scores(tiny_model, tiny_tokenizer, loaded(windows=windows)) for windows in (True, False))
    for text, one, other in zip(TEXTS, whole, cut, strict=True):
        assert len(other.log_probs) == min(len(text.split()), MOST - 1)
        assert one.log_probs[: MOST - 1] == pytest.approx(other.log_probs, abs=1e-5)


def test_a_text_that_fits_is_scored_as_without_windows(tiny_model, tiny_tokenizer):
    short = [text for text in TEXTS if len(text.split()) < MOST]
    assert short
    assert scores(tiny_model, tiny_tokenizer, loaded(short, windows=True)) == scores(
        tiny_model, tiny_tokenizer, loaded(short)
    )


def test_metrics_read_the_whole_text(tiny_model, tiny_tokenizer):
    metrics = {"perplexity": Perplexity(), "probability": Probability(), "memorized": ExactMemorization()}
    sets = {"forget": loaded(windows=True), "wiki": loaded(windows=True)}
    result = evaluate(tiny_model, tiny_tokenizer, sets, Suite(metrics, batch_size=4))
    tiny_model.eval()
    per_text = [token_by_token(tiny_model, tiny_tokenizer, text, MOST) for text in TEXTS]
    logs = [[log_p for log_p, _ in text] for text in per_text]
    perplexity = math.exp(-sum(map(sum, logs)) / sum(map(len, logs)))
    assert result.values["wiki_perplexity"] == pytest.approx(perplexity, rel=1e-5)
    probability = sum(math.exp(sum(text) / len(text)) for text in logs) / len(logs)
    assert result.values["forget_probability"] == pytest.approx(probability, rel=1e-5)
    memorized = sum(sum(right for _, right in text) / len(text) for text in per_text) / len(per_text)
    assert result.values["forget_exact_memorization"] == pytest.approx(memorized)


def test_moments_are_those_of_the_whole_text_and_the_gradient_that_of_its_first_window(tiny_model, tiny_tokenizer):
    needs = frozenset({"moments", "gradient_norm"})
    found = scores(tiny_model, tiny_tokenizer, loaded(windows=True), needs)
    cut = scores(tiny_model, tiny_tokenizer, loaded(), needs)
    for scored, first in zip(found, cut, strict=True):
        assert len(scored.token_means) == len(scored.token_deviations) == len(scored.log_probs)
        assert scored.gradient_norm == pytest.approx(first.gradient_norm, rel=1e-5)
    encoder = Encoder(tiny_tokenizer)
    rows = [encoder.encode(example, "none", MOST) for example in loaded().examples]
    expected = gradient_norms(tiny_model, rows, encoder.pad_id, tiny_model.device)
    assert [first.gradient_norm for first in cut] == pytest.approx(expected)


def test_an_answer_to_a_prompt_has_no_windows(tiny_model, tiny_tokenizer):
    rows = loaded(windows=True)
    asked = Loaded(rows.dataset, [Example("t/0", "w1 w2", TEXTS[0])], {})
    [scored] = scores(tiny_model, tiny_tokenizer, asked)
    assert len(scored.log_probs) < MOST


@pytest.mark.parametrize(("name", "key"), [("wiki", "sets.wiki"), ("forget", "forget")])
def test_windows_without_room_are_refused_by_the_key_of_the_set(tiny_model, tiny_tokenizer, name, key):
    """A tokenizer that puts <s> before every text leaves one of two tokens."""
    beginning = deepcopy(tiny_tokenizer)
    beginning.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    rows = loaded(windows=True, max_tokens=2)
    with pytest.raises(RequestError, match=rf"data\.{key}\.max_tokens must be >= 3 where windows=true, found 2"):
        score(tiny_model, Encoder(beginning), name, rows, SUITE, frozenset(), Clock())
