import json
from types import SimpleNamespace

import pytest

from mollm_cli.core.privacy import row_hash
from mollm_cli.core.types import Example, Scored
from mollm_cli.evaluation.clock import Clock
from mollm_cli.evaluation.gates import parse
from mollm_cli.evaluation.measuring import Evaluation, compute
from mollm_cli.evaluation.records import metrics_record, sample_rows
from mollm_cli.evaluation.suite import Suite
from mollm_cli.metrics.forget_quality import ForgetQuality
from mollm_cli.metrics.probability import Probability
from mollm_cli.metrics.refusal_rate import RefusalRate
from mollm_cli.metrics.rouge_l import RougeL

SUITE = Suite(metrics={"probability": Probability(), "forget_quality": ForgetQuality()})
EXAMPLES = [Example("forget/0", "Who?", "Nobody.", perturbed_answers=("Me.",)), Example("forget/1", "Where?", "Here.")]


def sets(content):
    return {"forget": SimpleNamespace(examples=EXAMPLES, content=content, fingerprint={})}


def evaluation(value, generation="Somebody."):
    scored = [Scored(e.id, e, (-1.0,), (True,), generation=generation) for e in EXAMPLES]
    values = {"forget_probability": value, "forget_quality": None}
    return Evaluation(values, {"forget": scored}, {"forget": {"probability": [value, value]}})


def test_metrics_record_holds_values_verdict_and_meaning():
    record = metrics_record(evaluation(0.9), evaluation(0.3), evaluation(0.3), SUITE, sets("ordinary"))
    assert record["before"] == {"forget_probability": 0.9, "forget_quality": None}
    assert record["after"]["forget_probability"] == record["oracle"]["forget_probability"] == 0.3
    assert (record["yardstick"], record["verdict"]["forget"]) == ("oracle", "unknown")  # two rows
    assert record["grounds"]["forget"]["rows_needed"] == 5 and record["grounds"]["retain"] == {}
    assert record["metrics"] == {
        "forget_probability": {
            "metric": "probability",
            "set": "forget",
            "unit": "probability",
            "better": "toward_yardstick",
            "version": 1,
        },
        "forget_quality": {
            "metric": "forget_quality",
            "set": "forget",
            "unit": "p-value",
            "better": "higher",
            "version": 1,
        },
    }
    assert json.loads(json.dumps(record, allow_nan=False)) == record


MANY = (
    "灯塔由老马塔看守。",
    "Маяк хранит старая Марта.",
    "تحرس مارتا المنارة.",
    "มาร์ทาดูแลประภาคาร",
    "Zoë Ångström.",
    "?!",
)


def test_every_metric_tells_of_how_many_rows_it_is():
    """Of six answers in many languages five have words; version 1 of ROUGE-L knew those of one."""
    rows = [Example(f"forget/{i}", "?", text) for i, text in enumerate(MANY)]
    suite = Suite(metrics={"rouge_l": RougeL(), "probability": Probability(), "refusal_rate": RefusalRate()})
    scored = [Scored(e.id, e, (-1.0,), (True,), generation=e.answer) for e in rows]
    there = {"forget": SimpleNamespace(examples=rows, content="ordinary", fingerprint={})}
    after = compute({"forget": scored}, there, suite, None, Clock())
    record = metrics_record(None, after, None, suite, there)
    assert record["after"]["forget_rouge_l"] == 1.0
    assert record["rows"] == {
        "after": {"forget_rouge_l": [5, 6], "forget_probability": [6, 6], "forget_refusal_rate": [2, 6]}
    }
    assert not parse("forget_rouge_l>=0.5").check(record).held
    assert parse("forget_rouge_l@partial>=0.5").check(record).held


def test_what_was_not_evaluated_is_null():
    record = metrics_record(None, evaluation(0.3), None, SUITE, sets("ordinary"))
    assert (record["before"], record["oracle"], record["yardstick"]) == (None, None, "none")
    assert set(record["metrics"]) == {"forget_probability"}


def test_sample_rows_of_ordinary_data_hold_text():
    row = next(sample_rows(evaluation(0.9, "Nobody."), evaluation(0.3), None, sets("ordinary"), keep_text="auto"))
    assert row == {
        "set": "forget",
        "id": "forget/0",
        "sha256": "21cf83181a4b8d84e657262ed4ee3d19f3504fd71ab604ada7461bb99f3ede7c",
        "prompt": "Who?",
        "answer": "Nobody.",
        "before": {"probability": 0.9, "generation": "Nobody."},
        "after": {"probability": 0.3, "generation": "Somebody."},
        "oracle": None,
    }


@pytest.mark.parametrize(
    ("content", "keep_text"), [("personal", "auto"), ("harmful", "auto"), ("harmful", False), ("ordinary", False)]
)
def test_other_text_is_kept_on_request_only(content, keep_text):
    after = evaluation(0.3)
    without = list(sample_rows(None, after, after, sets(content), keep_text=keep_text))
    for word in ("Who", "Nobody", "Where", "Here", "Somebody"):
        assert word not in json.dumps(without)
    assert without[1]["after"] == without[1]["oracle"] == {"probability": 0.3}
    assert without[1]["sha256"] == row_hash(EXAMPLES[1])
    row = list(sample_rows(None, after, None, sets(content), keep_text=True))[1]
    assert (row["prompt"], row["answer"], row["after"]["generation"]) == ("Where?", "Here.", "Somebody.")


def test_rows_without_a_generation_have_none():
    row = next(sample_rows(None, evaluation(0.3, generation=None), None, sets("ordinary"), keep_text=True))
    assert row["after"] == {"probability": 0.3}


def test_the_hash_is_that_of_prompt_line_break_answer():
    # printf 'a\nb' | sha256sum
    assert row_hash(Example("0", "a", "b")).startswith("7e18f737")
    assert row_hash(Example("0", "a\udc80", "b"))  # a lone surrogate from a JSON escape has a hash, too
