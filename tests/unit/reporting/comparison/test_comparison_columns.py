from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.reporting.comparison.comparison_columns import choose
from mollm_cli.reporting.comparison.groups import groups
from mollm_cli.reporting.comparison.run_rows import RunRow

MakeRows = Callable[..., list[RunRow]]
AUDIT: dict[str, Any] = {
    "metrics/after/attack_relearning_probability": 0.7,
    "metrics/after/attack_relearning_retain_probability": 0.9,
    "metrics/after/forget_extraction_strength": 0.2,
    "metrics/after/retain_extraction_strength": 0.9,
    "metrics/after/privacy_leakage": -12.5,
    "metrics/attacks": {"relearning": {"headline": "attack_relearning_probability"}},
    "metrics/verdict": {"forget": "matched", "retain": "kept", "robustness": "recovered: relearning"},
}


def _cells(rows: list[RunRow], *picked: str, every: bool = False) -> dict[str, list[str]]:
    """Column key -> its cell in every group."""
    return {column.key: [column.cell(g) for g in groups(rows)] for column in choose(rows, picked, every)}


def test_the_usual_columns_of_a_plain_run(make_rows: MakeRows) -> None:
    assert list(_cells(make_rows({}))) == [
        "forget_probability",
        "forget_distance",
        "retain_probability",
        "retain_at_matched_forgetting",
        "forget_test_probability",
        "retain_test_probability",
        "forget_quality",
        "text_perplexity",
        "verdict",
    ]


def test_the_usual_columns_of_an_audit_add_what_an_attacker_gets(make_rows: MakeRows) -> None:
    cells = _cells(make_rows(AUDIT))
    added = ("forget_extraction_strength", "privacy_leakage", "attack_relearning_probability", "robustness")
    assert all(name in cells for name in added)
    assert not {"retain_extraction_strength", "attack_relearning_retain_probability"} & cells.keys()
    assert (cells["robustness"], cells["attack_relearning_probability"]) == (["recovered: relearning"], ["0.700"])
    titles = {column.key: column.title for column in choose(make_rows(AUDIT))}
    assert titles["attack_relearning_probability"] == "attack: relearning prob."
    assert titles["text_perplexity"] == "text ppl"


def test_every_column_and_picked_ones(make_rows: MakeRows) -> None:
    rows = make_rows(AUDIT)
    every = _cells(rows, every=True)
    assert rows[0].measures.keys() < every.keys() and len(every) == len(rows[0].measures) + 4
    assert list(_cells(rows, "retain_rouge_l", "forget_distance", "retain_rouge_l")) == [
        "retain_rouge_l",
        "forget_distance",
    ]


def test_a_column_that_no_run_has_is_refused(make_rows: MakeRows) -> None:
    rows = make_rows({})
    with pytest.raises(RequestError, match="found 'forget_probabilty'; did you mean 'forget_probability'"):
        choose(rows, ["forget_probabilty"])
    with pytest.raises(RequestError, match="--metrics must name what a run has measured, found 'privacy_leakage'"):
        choose(rows, ["privacy_leakage"])


def test_a_run_alone_shows_its_interval_and_several_their_error(make_rows: MakeRows) -> None:
    interval = {"metrics/intervals": {"after": {"retain_probability": [0.95, 0.99]}}}
    assert _cells(make_rows(interval))["retain_probability"] == ["0.974 [0.950, 0.990]"]
    two = make_rows(interval, interval | {"metrics/after/retain_probability": 0.954})
    assert _cells(two)["retain_probability"] == ["0.964 ± 0.010"]
    alone = make_rows(interval, {"manifest/status": "failed"})
    assert _cells(alone)["retain_probability"] == ["0.974 [0.950, 0.990]"]


def test_values_that_some_finished_run_lacks_say_how_many(make_rows: MakeRows) -> None:
    rows = make_rows({}, {"metrics/after/retain_probability": None}, {"manifest/status": "failed"})
    assert _cells(rows)["retain_probability"] == ["0.974 (n=1)"]
    assert _cells(make_rows({"manifest/status": "failed"}), "retain_probability") == {"retain_probability": ["–"]}


def test_a_test_without_power_is_marked(make_rows: MakeRows) -> None:
    details = {"metrics/details": {"after": {"forget_quality": {"power": "no power"}}}}
    assert _cells(make_rows(details))["forget_quality"] == ["0.620°"]
    assert _cells(make_rows({}))["forget_quality"] == ["0.620"]


def test_never_having_come_down_to_the_yardstick_is_shown(make_rows: MakeRows) -> None:
    with_one = make_rows({"metrics/oracle/forget_probability": 0.01})
    assert _cells(with_one)["retain_at_matched_forgetting"] == ["–"]
    without = make_rows({"metrics/oracle": None, "metrics/yardstick": "none"})
    assert not {"retain_at_matched_forgetting", "forget_distance"} & _cells(without).keys()


def test_verdicts_that_disagree_are_counted(make_rows: MakeRows) -> None:
    verdicts = ("matched", "over", "matched")
    rows = make_rows(*({"metrics/verdict": {"forget": verdict, "retain": "kept"}} for verdict in verdicts))
    assert _cells(rows)["verdict"] == ["2× matched, kept; 1× over, kept"]
    assert "robustness" not in _cells(rows) and _cells(rows, "robustness") == {"robustness": ["untested"]}


def test_runs_without_numbers_have_no_columns(make_rows: MakeRows) -> None:
    assert (
        choose(make_rows({"metrics/after": {}, "metrics/before": {}, "metrics/oracle": {}, "metrics/verdict": None}))
        == []
    )
