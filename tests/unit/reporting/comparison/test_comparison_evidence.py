from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.reporting.comparison.comparability import (
    PHRASES,
    SYMBOLS,
    Difference,
    MeasuredOn,
    differences,
    measured_on,
    merged,
)
from mollm_cli.reporting.comparison.run_rows import RunRow

MakeRows = Callable[..., list[RunRow]]
TRAINED = "seed: 0\noptimizer: {lr: 0.001}\nevaluation: {generate_tokens: 64, limit: null}\n"


@pytest.fixture
def recorded() -> MeasuredOn:
    """A run that recorded everything."""
    return MeasuredOn(
        seed=0,
        data={"forget": ("aa", "forget.jsonl 1"), "retain": ("bb", "retain.jsonl 2")},
        data_config="{}",
        model="cc",
        versions={"forget_probability": "1", "forget_truth_ratio": "2"},
        decoding={"greedy": "true", "limit": "null"},
        yardstick="oracle",
        oracle="dd",
    )


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"data": {"forget": ("aa", ""), "retain": ("xx", "")}}, Difference("data", ("retain",))),
        ({"model": "xx"}, Difference("model")),
        (
            {"versions": {"forget_truth_ratio": "1", "new": "1"}},
            Difference("version", ("forget_truth_ratio 1 (first: 2)",)),
        ),
        ({"decoding": {"limit": "8"}}, Difference("decoding", ("limit 8 (first: null)",))),
        ({"yardstick": "holdout", "oracle": ""}, Difference("yardstick")),
        ({"oracle": "xx"}, Difference("yardstick")),
    ],
    ids=[*SYMBOLS, "oracle"],
)
def test_each_aspect(recorded: MeasuredOn, change: dict[str, Any], difference: Difference) -> None:
    other = replace(recorded, **change)
    assert differences(recorded, other) == (difference,)
    assert [d.aspect for d in differences(other, recorded)] == [difference.aspect]
    assert difference.text.startswith(PHRASES[difference.aspect])


def test_what_one_of_the_two_did_not_record_is_no_difference(recorded: MeasuredOn) -> None:
    assert differences(recorded, recorded) == ()
    assert differences(recorded, MeasuredOn()) == differences(MeasuredOn(), recorded) == ()
    assert differences(recorded, replace(recorded, data={"forget": ("", ""), "holdout": ("zz", "")})) == ()


def test_rows_drawn_by_another_seed_from_one_source_are_the_same_data(recorded: MeasuredOn) -> None:
    drawn = {"forget": ("a2", "forget.jsonl 1"), "retain": ("bb", "retain.jsonl 2")}
    assert differences(recorded, replace(recorded, data=drawn, seed=1)) == ()
    other_rows = (Difference("data", ("forget",)),)
    assert differences(recorded, replace(recorded, data=drawn)) == other_rows
    assert differences(recorded, replace(recorded, data=drawn, seed=1, data_config='{"limit": 9}')) == other_rows
    elsewhere = drawn | {"forget": ("a2", "other.jsonl 3")}
    assert differences(recorded, replace(recorded, data=elsewhere, seed=1)) == other_rows


def test_the_aspects_keep_their_order_and_are_merged(recorded: MeasuredOn) -> None:
    other = replace(recorded, yardstick="none", model="xx", decoding={"greedy": "false"})
    third = replace(recorded, decoding={"limit": "8", "greedy": "false"})
    found = merged([*differences(recorded, other), *differences(recorded, third)])
    assert [d.aspect for d in found] == ["model", "decoding", "yardstick"]
    assert found[1].details == ("greedy false (first: true)", "limit 8 (first: null)")


def test_the_facts_of_a_run(make_rows: MakeRows) -> None:
    first, same, other = make_rows(
        {"config": TRAINED, "manifest/oracle": {"files": [{"sha256": "0a"}]}},
        {"config": TRAINED, "metrics/decoding": {"generate_tokens": 64, "greedy": True}},
        {
            "config": TRAINED.replace("64", "32"),
            "manifest/model/files": [{"sha256": "other"}],
            "manifest/datasets/forget/sha256": "other",
            "metrics/metrics/forget_probability/version": 2,
            "manifest/oracle": {"files": [{"sha256": "0b"}]},
        },
    )
    assert (first.measured_on.yardstick, first.measured_on.oracle, first.measured_on.model) == (
        "oracle",
        "0a",
        "a1" * 32,
    )
    assert differences(first.measured_on, same.measured_on) == ()
    assert differences(first.measured_on, other.measured_on) == (
        Difference("data", ("forget",)),
        Difference("model"),
        Difference("version", ("forget_probability 2 (first: 1)",)),
        Difference("decoding", ("generate_tokens 32 (first: 64)",)),
        Difference("yardstick"),
    )


def test_rows_that_were_scored_otherwise(make_rows: MakeRows) -> None:
    """A run from before the scorer had a version is of version 1; one without metrics is of none."""
    old, new = make_rows({"config": TRAINED}, {"config": TRAINED, "metrics/decoding": {"scoring": 2}})
    assert differences(new.measured_on, old.measured_on) == (Difference("decoding", ("scoring 1 (first: 2)",)),)
    unfinished = SimpleNamespace(manifest={}, config={}, metrics=None)
    assert measured_on(unfinished).decoding == {}


def test_the_models_of_evaluations_are_what_is_compared(make_rows: MakeRows) -> None:
    judged = "seed: 0\nmodel: {path: x}\n"
    first, other = make_rows({"config": judged}, {"config": judged, "manifest/model/files": [{"sha256": "other"}]})
    assert differences(first.measured_on, other.measured_on) == ()
