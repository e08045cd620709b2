"""Batch size and padding change no metric there is: every one of conf/metric, through a real model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import mollm_cli
from mollm_cli.core.types import Example
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.clock import Clock
from mollm_cli.evaluation.judging import judged, with_fluency
from mollm_cli.evaluation.measuring import compute, score_sets
from mollm_cli.evaluation.suite import Suite

CONF = Path(mollm_cli.__file__).parent.parent / "conf" / "metric"
DRAWN = {"leak_at_k"}
"""Drawn answers depend on the batch that they are drawn in (evaluation/generation.py)."""
TOLERANCE = 1e-5
SIZES = {"forget": 7, "holdout": 6, "retain": 4, "real_authors": 5, "world_facts": 3, "forget_knowmem": 3, "verbmem": 4}
QA = Dataset("qa", path="unread", prompt_field="q", answer_field="a", template="none", max_tokens=32)
TEXT = Dataset("text", path="unread", kind="text", text_field="text", windows=True, max_tokens=12)


GENERATED = 8


def metric(name):
    """A metric as its YAML builds it."""
    described = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    module, _, attribute = described.pop("_target_").rpartition(".")
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in described.items()}
    if name == "verbatim_memorization":
        options["tokens"] = GENERATED  # its YAML asks the suite
    return getattr(__import__(module, fromlist=[attribute]), attribute)(**options)


def reads(prompts, answers, device):
    """A judge that looks at every character."""
    return [(sum(map(ord, answer)) % 97) / 97 for answer in answers]


METRICS = {file.stem: metric(file.stem) for file in sorted(CONF.glob("*.yaml"))}
JUDGES = {name: SimpleNamespace(scores=reads) for name in ("harm", "toxicity")}
SUITE = Suite(METRICS, judges=JUDGES, generate_tokens=GENERATED, batch_size=3)


def question(i):
    return Example(
        id=f"qa/{i}",
        prompt=" ".join(f"w{(i + k) % 60}" for k in range(1 + i % 3)),
        answer=" ".join(f"w{(3 * i + k) % 60}" for k in range(2 + i % 5)),
        paraphrased_answer=f"w{i} w{i + 7}" if i % 3 else None,
        perturbed_answers=(f"w{i + 20} w{i}", f"w{i + 25}", f"w{i} w{i + 1} w{i + 2}"),
    )


def text(i, words):
    return Example(f"text/{i}", "", " ".join(f"w{(11 * i + 5 * k) % 60}" for k in range(words)))


def long_one():
    """A row as long as the model's context is, alone in its kind."""
    words = " ".join(f"w{(7 * k) % 60}" for k in range(24))
    return Example("long", "w1 w2", words, perturbed_answers=(words[3:], "w5"), paraphrased_answer=words[6:])


@pytest.fixture(scope="module")
def sets():
    starts = {name: 4 * number for number, name in enumerate(SIZES)}
    asked = {name: Loaded(QA, [question(starts[name] + i) for i in range(SIZES[name])], {}) for name in SIZES}
    return asked | {"text": Loaded(TEXT, [text(i, words) for i, words in enumerate((4, 30, 11, 12))], {})}


@pytest.fixture(scope="module")
def oracle(same_model, tiny_tokenizer, sets):
    """Scores of another model, the same in every comparison."""
    import torch

    other = type(same_model)(same_model.config)
    with torch.no_grad():
        for mine, theirs in zip(other.parameters(), same_model.parameters(), strict=True):
            mine.copy_(theirs + 0.1 * torch.randn(theirs.shape, generator=torch.Generator().manual_seed(1)))
    return score_sets(other, tiny_tokenizer, sets, SUITE, True, Clock())


def scored(model, tokenizer, sets, suite):
    """All that the metrics read, the judges and the reference included (the model itself)."""
    clock = Clock()
    scores = score_sets(model, tokenizer, sets, suite, True, clock)
    scores = with_fluency(scores, sets, suite, model, tokenizer, clock)
    return judged(scores, sets, suite, model.device, clock)


def same_column(found, expected):
    """None at the same places, and the same numbers at the others."""
    assert [value is None for value in found] == [value is None for value in expected]
    found, expected = ([value for value in column if value is not None] for column in (found, expected))
    assert found == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)


def assert_same(found, expected):
    assert found.values.keys() == expected.values.keys()
    assert found.values == pytest.approx(expected.values, rel=TOLERANCE, abs=TOLERANCE)
    for name, columns in expected.per_example.items():
        assert found.per_example[name].keys() == columns.keys()
        for each, column in columns.items():
            same_column(found.per_example[name][each], column)
    for flat, interval in expected.intervals.items():
        assert found.intervals[flat] == pytest.approx(interval, rel=TOLERANCE, abs=TOLERANCE), flat


@pytest.fixture(scope="module")
def expected(same_model, tiny_tokenizer, sets, oracle):
    return compute(scored(same_model, tiny_tokenizer, sets, SUITE), sets, SUITE, oracle, Clock())


def test_every_metric_has_a_value_here(expected):
    """What follows compares something: no metric is left out, and none is undefined."""
    seen = {metric for metric in METRICS if any(flat.endswith(METRICS[metric].name) for flat in expected.values)}
    assert set(METRICS) - seen == DRAWN
    assert [flat for flat, value in expected.values.items() if value is None] == []


@pytest.mark.parametrize("batch_size", [2, *(pytest.param(size, marks=pytest.mark.slow) for size in (1, 50))])
def test_batch_size_changes_no_metric(same_model, tiny_tokenizer, sets, oracle, expected, batch_size):
    suite = replace(SUITE, batch_size=batch_size)
    found = compute(scored(same_model, tiny_tokenizer, sets, suite), sets, suite, oracle, Clock())
    assert_same(found, expected)
    for name, rows in found.scored.items():
        assert [row.generation for row in rows] == [row.generation for row in expected.scored[name]]


@pytest.mark.parametrize("batch_size", [50, pytest.param(3, marks=pytest.mark.slow)])
def test_a_long_row_beside_the_others_changes_no_metric_of_theirs(
    same_model, tiny_tokenizer, sets, oracle, expected, batch_size
):
    """All rows are padded to the long one, whose own scores are then left out."""
    longest = {name: text(60, 31) if name == "text" else long_one() for name in sets}
    beside = {name: Loaded(rows.dataset, [*rows.examples, longest[name]], {}) for name, rows in sets.items()}
    scores = scored(same_model, tiny_tokenizer, beside, replace(SUITE, batch_size=batch_size))
    scores = {name: rows[:-1] for name, rows in scores.items()}
    assert_same(compute(scores, sets, SUITE, oracle, Clock()), expected)
