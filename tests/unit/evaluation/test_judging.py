"""Judges and the starting model's word on generations, on a tiny model."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example, Scored
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.clock import Clock
from mollm_cli.evaluation.judging import check_judges, judged, with_fluency
from mollm_cli.evaluation.measuring import score_sets
from mollm_cli.evaluation.suite import Suite
from mollm_cli.metrics.fluency import Fluency
from mollm_cli.metrics.probability import Probability
from mollm_cli.metrics.toxicity import Toxicity

QA = Dataset("qa", path="unread", prompt_field="q", answer_field="a", template="{prompt} ", max_tokens=32)
FLUENT = Suite({"fluency": Fluency()}, generate_tokens=6, batch_size=3)
PROMPTS = [" ".join(f"w{(7 * i + 3 * k) % 60}" for k in range(1 + i % 4)) for i in range(12)]
CPU = torch.device("cpu")
END = 2


def rows(*prompts, name="qa"):
    return Loaded(QA, [Example(f"{name}/{i}", prompt, "w1 w2") for i, prompt in enumerate(prompts)], {})


def said(loaded, *generations):
    """Scores of a set by hand: only the generations are told."""
    pairs = zip(loaded.examples, generations, strict=True)
    return [Scored(e.id, e, (-1.0,), (True,), generation=generation) for e, generation in pairs]


def fluency(model, tokenizer, loaded, *generations, suite=FLUENT):
    found = with_fluency({"forget": said(loaded, *generations)}, {"forget": loaded}, suite, model, tokenizer, Clock())
    return [scored.fluency_log_prob for scored in found["forget"]]


def likelihood(model, given, continued):
    """Mean log p of ``continued`` after ``given``, one token at a time."""
    model.eval()
    logs = []
    with torch.no_grad():
        for k, token in enumerate(continued):
            logits = model(torch.tensor([given + continued[:k]])).logits[0, -1]
            logs.append(float(logits.log_softmax(-1)[token]))
    return sum(logs) / len(logs)


def greedy(model, given, most):
    """The argmax again and again, and the mean of its log p; an end token stops and is not in it."""
    model.eval()
    ids, logs = list(given), []
    with torch.no_grad():
        while len(logs) < most:
            log_p = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
            token = int(log_p.argmax())
            if token == END:
                break
            ids.append(token)
            logs.append(float(log_p[token]))
    return ids[len(given) :], sum(logs) / max(1, len(logs))


def test_what_the_reference_says_is_as_fluent_as_it_was_likely(tiny_model, tiny_tokenizer):
    sets = {"forget": rows(*PROMPTS)}
    scores = score_sets(tiny_model, tiny_tokenizer, sets, FLUENT, False, Clock())
    found = with_fluency(scores, sets, FLUENT, tiny_model, tiny_tokenizer, Clock())["forget"]
    compared = 0
    for scored in found:
        tokens, expected = greedy(tiny_model, tiny_tokenizer(scored.example.prompt)["input_ids"], 6)
        if tokens and min(tokens) >= 4:  # a special token is not in the text, so the text is another one
            assert scored.fluency_log_prob == pytest.approx(expected, abs=1e-5)
            compared += 1
    assert compared >= 6
    assert [replace(scored, fluency_log_prob=None) for scored in found] == scores["forget"]  # and nothing else changes


@pytest.mark.parametrize("batch_size", [1, 2, 50])
def test_batch_size_changes_no_fluency(tiny_model, tiny_tokenizer, batch_size):
    generations = [" ".join(f"w{i + k}" for k in range(1 + i)) for i in range(5)]
    found = fluency(
        tiny_model, tiny_tokenizer, rows(*PROMPTS[:5]), *generations, suite=replace(FLUENT, batch_size=batch_size)
    )
    for prompt, generation, log in zip(PROMPTS, generations, found, strict=False):
        given, continued = (tiny_tokenizer(text)["input_ids"] for text in (prompt, generation))
        assert log == pytest.approx(likelihood(tiny_model, given, continued), abs=1e-5)


def test_blanks_and_what_was_not_asked_for_have_no_fluency(tiny_model, tiny_tokenizer):
    found = fluency(tiny_model, tiny_tokenizer, rows("w1", "w2", "w3", "w4"), "", " \n", None, "w5")
    assert found[:3] == [None, None, None]
    assert found[3] == pytest.approx(likelihood(tiny_model, [8], [9]), abs=1e-5)


def test_nothing_but_blanks_asks_no_model():
    """There is neither a model nor a tokenizer that could score."""
    nobody = SimpleNamespace(eos_token_id=END)
    assert fluency(None, nobody, rows("w1"), " ") == [None]


def test_an_answer_is_cut_where_a_row_of_the_dataset_is(tiny_model, tiny_tokenizer):
    """Five tokens: a prompt of two leaves room for three; a prompt of five, or more, for none."""
    short = Loaded(replace(QA, max_tokens=5), rows("w1 w2", "w1 w2 w3 w4 w5", "w1 w2 w3 w4 w5 w6 w7").examples, {})
    found = fluency(tiny_model, tiny_tokenizer, short, "w3 w4 w5 w6 w7", "w6", "w8 w9 w10")
    assert found == [pytest.approx(likelihood(tiny_model, [5, 6], [7, 8, 9]), abs=1e-5), None, None]


def test_after_a_bare_prompt_the_answer_is_another_word(tiny_model, tiny_tokenizer, monkeypatch):
    """Template none: "w1 w2" and "w3" are no "w1 w2w3". A tokenizer that sees spaces would tell them apart."""
    texts = []

    class Spy:
        def __getattr__(self, name):
            return getattr(tiny_tokenizer, name)

        def __call__(self, text, **options):
            texts.append(text)
            return tiny_tokenizer(text, **options)

    bare = Loaded(replace(QA, template="none"), rows("w1 w2").examples, {})
    monkeypatch.setattr("mollm_cli.core.bounded._within", True)  # what a process of its own is asked is not seen here
    found = fluency(tiny_model, Spy(), bare, "w3")
    assert found == [pytest.approx(likelihood(tiny_model, [5, 6], [7]), abs=1e-5)]
    assert "w1 w2 w3" in texts
    assert "w1 w2w3" not in texts


class Words:
    """A judge of how many words stand in an answer and its prompt, and of how often it is asked."""

    def __init__(self):
        self.asked = []

    def check(self):
        raise RequestError("no such judge")

    def scores(self, prompts, answers, device):
        self.asked.append((list(prompts), list(answers), device))
        return [len(answer.split()) / 10 + len(prompt.split()) / 100 for prompt, answer in zip(prompts, answers)]  # noqa: B905


def judging(judges, metrics=None):
    return Suite(metrics or {"toxicity": Toxicity(judge="words")}, judges=judges)


def test_every_judge_reads_every_answer_once():
    sets = {"forget": rows("w1", "w2 w3", "w4"), "retain": rows("w5")}
    scores = {"forget": said(sets["forget"], "a b c", " ", None), "retain": said(sets["retain"], "d")}
    words, others, clock = Words(), Words(), Clock()
    found = judged(scores, sets, judging({"words": words, "others": others}), CPU, clock)
    assert words.asked == others.asked == [(["w1", "w5"], ["a b c", "d"], CPU)]
    assert [dict(scored.judged) for scored in found["forget"]] == [{"words": 0.31, "others": 0.31}, {}, {}]
    assert [dict(scored.judged) for scored in found["retain"]] == [{"words": 0.11, "others": 0.11}]
    assert set(clock.seconds) == {"judge.words", "judge.others"}
    assert {name: [replace(s, judged={}) for s in each] for name, each in found.items()} == scores
    assert all(not s.judged for each in scores.values() for s in each)  # what came in is as it was


def test_only_sets_where_a_metric_reads_a_judge_are_judged():
    class ForgetOnly(Toxicity):
        needs = frozenset({"judged", "forget_side"})

    sets = {"forget": rows("w1"), "retain": rows("w2")}
    scores = {name: said(loaded, "a b") for name, loaded in sets.items()}
    words = Words()
    found = judged(scores, sets, judging({"words": words}, {"toxicity": ForgetOnly("words")}), CPU, Clock())
    assert words.asked == [(["w1"], ["a b"], CPU)]
    assert (found["forget"][0].judged, found["retain"]) == ({"words": pytest.approx(0.21)}, scores["retain"])
    none = judging({"words": words}, {"probability": Probability()})
    assert judged(scores, sets, none, CPU, Clock()) == scores
    assert len(words.asked) == 1


@pytest.mark.parametrize(("judges", "generation"), [({}, "a b"), ({"words": Words()}, " ")])
def test_without_a_judge_or_an_answer_nothing_changes(judges, generation):
    sets = {"forget": rows("w1")}
    scores = {"forget": said(sets["forget"], generation)}
    assert judged(scores, sets, judging(judges), CPU, Clock()) is scores
    assert all(not judge.asked for judge in judges.values())


def test_only_sets_where_fluency_is_measured_are_read(tiny_model, tiny_tokenizer):
    class RetainOnly(Fluency):
        needs = frozenset({"fluency", "retain_side"})

    sets = {"forget": rows("w1"), "retain": rows("w2")}
    scores = {name: said(loaded, "w3") for name, loaded in sets.items()}
    clock = Clock()
    found = with_fluency(scores, sets, Suite({"fluency": RetainOnly()}), tiny_model, tiny_tokenizer, clock)
    assert found["forget"] == scores["forget"]
    assert math.isfinite(found["retain"][0].fluency_log_prob)
    assert set(clock.seconds) == {"fluency"}


def test_judges_are_checked_beforehand():
    with pytest.raises(RequestError, match="no such judge"):
        check_judges(judging({"words": Words()}))
    check_judges(judging({}))
