"""The quality benchmark's runs: matching by hand, contenders as requests, runs that get there and that do not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from benchmarks.quality_match import lines, matched
from benchmarks.quality_run import Yardstick, composed, harmonic_mean, looks_of, overrides, run, yardstick
from benchmarks.quality_tasks import CONTENDERS, VARIANTS, embedded, lily, tofu
from mollm_cli.configuration.compose import compose_job, composing
from mollm_cli.configuration.request import request
from mollm_cli.reporting.trajectory import ProgressPoint, retain_at_matched_forgetting

pytestmark = pytest.mark.slow

TASK = embedded()
BY_NAME = {c.name: c for c in (*CONTENDERS, *VARIANTS)}
PROBABILITY, STRENGTH = TASK.axes
PATH = [(0, 0.9, 1.0, 0.8), (2, 0.6, 0.5, 0.7), (4, 0.2, 0.1, 0.5), (6, 0.3, 0.0, 0.4)]
LOOKS = [dict(zip(("step", PROBABILITY, STRENGTH, "retain_probability"), look, strict=True)) for look in PATH]


def test_a_match_by_hand():
    """0.3 lies three quarters of the way from 0.6 to 0.2: step 2 + 1.5, retain 0.7 - 0.15, strength 0.5 - 0.3."""
    found = matched(LOOKS, PROBABILITY, 0.3)
    assert found == pytest.approx({"step": 3.5, PROBABILITY: 0.3, STRENGTH: 0.2, "retain_probability": 0.55})


@pytest.mark.parametrize("mark", [0.95, 0.9, 0.75, 0.6, 0.25, 0.2, 0.1])
def test_a_match_is_the_report_s(mark):
    path = [ProgressPoint(step, forget, retain) for step, forget, _, retain in PATH]
    found = matched(LOOKS, PROBABILITY, mark)
    assert (found and found["retain_probability"]) == pytest.approx(retain_at_matched_forgetting(path, mark))


def test_a_line_per_axis_and_what_is_not_reached_shows_the_last_look():
    once = {STRENGTH: {"utility": 0.4}}
    first, second = lines(LOOKS, {PROBABILITY: 0.1, STRENGTH: 0.3}, once)
    assert (first["axis"], first["reached"], first["steps"]) == (PROBABILITY, False, 6)
    assert first["retain_probability"] == 0.4 and "utility" not in first
    assert (second["axis"], second["reached"], second["steps"]) == (STRENGTH, True, 3)
    assert second["utility"] == 0.4 and second["retain_probability"] == pytest.approx(0.6)


def test_looks_are_the_records_with_an_evaluation():
    records = [{"step": 0, "evaluation.a": 1.0}, {"step": 1, "loss.b": 2.0}, {"note": "nan"}]
    assert looks_of(records) == [{"step": 0.0, "a": 1.0}]


def test_utility_is_the_harmonic_mean():
    assert harmonic_mean(0.5, 1.0) == pytest.approx(2 / 3)
    assert harmonic_mean(0.5, 0.0) == 0.0


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("task", [TASK, lily(Path("shared")), tofu("m", "o", Path("shared"))], ids=lambda t: t.name)
def test_every_contender_is_a_request_or_says_that_it_cannot(task, name):
    contender = BY_NAME[name]
    if contender.typed(task) is None:
        assert task.name == "lily" and name in ("dpo", "ga_mismatch_kl")
        with pytest.raises(ValueError, match=f"{name.replace('+', '.')} asks for something that task lily"):
            overrides(task, contender, 0, 1e-4)
        return
    asked = request(composed(overrides(task, contender, 0, 1e-4)), "unlearn")
    assert asked.loss is not None and asked.loss.name == contender.loss


def test_every_loss_of_the_tool_is_a_contender():
    from mollm_cli.configuration.choices import choices, config_dir

    assert set(choices("loss", [config_dir()])) <= {contender.loss for contender in CONTENDERS}
    with composing():
        assert compose_job("config", ["experiment=tinystories-lily"]).optimizer.lr in lily().rates


def test_one_run_is_looked_at_matched_and_stopped():
    """Gradient ascent at three times the rate passes both marks within a few steps; the run ends there."""
    threads = torch.get_num_threads()
    marks = Yardstick({PROBABILITY: 0.9, STRENGTH: 0.95}, {})
    task = dataclasses.replace(TASK, rows=10, once=("truth_ratio", "truth_ratio_utility"))
    found, looks = run(task, BY_NAME["ga"], 0, 3e-4, marks)
    torch.set_num_threads(threads)
    assert [line["axis"] for line in found] == [PROBABILITY, STRENGTH]
    assert all(line["reached"] and 0 < line["utility"] < 1 for line in found)
    assert found[0][PROBABILITY] == pytest.approx(0.9) and found[0]["solver"] == "weighted_sum"
    assert looks[-1]["step"] < 20 and [look["step"] for look in looks] == list(range(0, int(looks[-1]["step"]) + 1, 2))
    assert looks[-2][PROBABILITY] > 0.9 or looks[-2][STRENGTH] > 0.95


def test_a_run_that_never_gets_there_is_listed():
    marks = Yardstick({PROBABILITY: 0.0, STRENGTH: -1.0}, {})
    short = dataclasses.replace(TASK, rows=4, overrides=(*TASK.overrides, "engine.max_steps=3"), once=())
    found, looks = run(short, BY_NAME["grad_diff"], 0, 1e-5, marks)
    assert [line["reached"] for line in found] == [False, False]
    assert {line["ended"] for line in found} == {"max_steps"} and [look["step"] for look in looks] == [0, 2, 3]


def test_the_marks_are_the_oracle_s():
    marks = yardstick(dataclasses.replace(TASK, rows=4, once=("truth_ratio",)))
    assert marks.marks[PROBABILITY] == pytest.approx(0.171, abs=2e-3)
    assert marks.marks == {axis: marks.values[axis] for axis in TASK.axes} and len(marks.scores["retain"]) == 4
    assert yardstick(lily()).marks == {"forget_probability": 0.02, "forget_test_probability": 0.02}


def test_a_run_whose_numbers_stop_being_finite_ends_with_the_looks_it_had():
    marks = Yardstick({PROBABILITY: -1.0, STRENGTH: -1.0}, {})
    short = dataclasses.replace(TASK, rows=4, overrides=(*TASK.overrides, "engine.max_steps=4"), once=())
    found, looks = run(short, BY_NAME["ga"], 0, 1e30, marks)
    assert [(line["ended"], line["reached"]) for line in found] == [("not finite", False)] * 2
    assert [look["step"] for look in looks] == [0]
