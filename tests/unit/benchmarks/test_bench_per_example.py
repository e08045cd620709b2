"""The loop over rows is the suite's equal, and counts what it says it counts."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from benchmarks import per_example
from benchmarks.per_example import RATIO, UnequalValuesError, embedded, interleaved, main, require_equal
from benchmarks.plain_evaluation import evaluate_by_row
from mollm_cli.evaluation.metric_plan import plan

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def task():
    """Two rows of every embedded set under mollm-unlearn's own suite."""
    return embedded(["evaluation.limit=2", "evaluation.generate_tokens=6"], "cpu")


@pytest.fixture
def passes(task):
    """What each forward pass of the model is given: [B, T] a call."""
    shapes = []

    def look(module, args, given):
        shapes.append(tuple(given["input_ids"].shape))

    handle = task.model.model.register_forward_pre_hook(look, with_kwargs=True)
    yield shapes
    handle.remove()


def test_both_ways_come_to_the_same_values(task):
    fast, slow = task.batched(), task.by_row()
    require_equal(fast, slow)
    measured = plan(task.asked.evaluation.chosen, task.asked.evaluation.rows(task.sets), True)
    assert set(slow) == set(measured)
    assert {"forget_quality", "forget_rouge_l", "retain_truth_ratio", "text_perplexity"} <= set(slow)
    assert any(value is not None and 0 < value < 1 for value in slow.values())


def test_the_loop_has_one_row_in_a_pass_and_one_pass_a_metric(task, passes):
    names = {"probability", "exact_memorization"}
    suite = task.asked.evaluation
    alone = dataclasses.replace(suite, metrics={name: suite.metrics[name] for name in names})
    sets = {"forget": task.sets["forget"]}
    evaluate_by_row(task.model.model, task.model.tokenizer, sets, alone)
    assert len(passes) == len(names) * suite.limit
    assert {rows for rows, _ in passes} == {1}


def test_a_metric_without_an_answer_is_refused(task):
    from mollm_cli.metrics.mia import mia_min_k_plus_plus

    suite = dataclasses.replace(task.asked.evaluation, metrics={"odd": mia_min_k_plus_plus()})
    with pytest.raises(ValueError, match=r"the loop over rows has no moments, which 'mia_min_k_plus_plus' needs"):
        evaluate_by_row(task.model.model, task.model.tokenizer, task.sets, suite)


def test_every_round_times_both_and_holds_their_values_against_each_other(task, monkeypatch):
    found = interleaved(task, 2, "cpu")
    assert {name: len(seconds) for name, seconds in found.items()} == {"evaluation": 2, "per_example": 2}
    monkeypatch.setattr(per_example, "evaluate_by_row", lambda *given: {"forget_probability": 2.0})
    with pytest.raises(
        UnequalValuesError, match="must come to the same values, found .*forget_probability 0.* and 2.0"
    ):
        interleaved(task, 1, "cpu")


@pytest.mark.parametrize(
    ("fast", "slow"), [({"a": 1.0}, {"a": 1.001}), ({"a": 1.0}, {"a": None}), ({"a": 1.0}, {}), ({}, {"a": None})]
)
def test_what_differs_is_refused(fast, slow):
    require_equal({"a": 1.0, "b": None}, {"a": 1.00001, "b": None})
    with pytest.raises(UnequalValuesError, match="batched and by row must come to the same values, found a"):
        require_equal(fast, slow)


def test_the_ratio_goes_beside_the_others(tmp_path):
    path, threads = tmp_path / "speed.json", torch.get_num_threads()
    path.write_text(json.dumps({"rows": [1], "ratios": {"a/b": 2.0}}))
    try:
        main(["--rounds", "1", "--limit", "1", "--out", str(path)])
    finally:
        torch.set_num_threads(threads)
    found = json.loads(path.read_text())
    best = found["evaluation"]["minimum_seconds"]
    assert found["ratios"] == {"a/b": 2.0, RATIO: best["evaluation"] / best["per_example"]}
    assert found["rows"] == [1] and found["evaluation"]["limit"] == 1
    with pytest.raises(SystemExit, match="2"):
        main(["--rounds", "0"])
