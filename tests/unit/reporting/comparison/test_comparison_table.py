from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mollm_cli.reporting.comparison.run_rows import RunRow, collect
from mollm_cli.reporting.comparison.table import compare, letters

MakeRows = Callable[..., list[RunRow]]
RETAIN, FORGET = "metrics/after/retain_probability", "metrics/after/forget_probability"


def test_groups_have_letters_and_their_runs_are_counted(sweep: Path) -> None:
    comparison = compare(collect(sweep))
    assert comparison.header[:5] == ["", "runs", "finished", "front", "forget prob."]
    assert [row[:4] for row in comparison.body] == [
        ["A", "mollm, dual_space_mgda, lr 0.001", "3/3", ""],
        ["B", "ga, dual_space_mgda, lr 0.001", "1/2", "★"],
    ]
    assert comparison.statuses == "4 completed, 1 failed"
    assert [letters(place) for place in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


def test_the_notes_tell_how_each_run_ended_that_did_not_complete(make_rows: MakeRows) -> None:
    rows = make_rows(
        {},
        {"manifest/status": "failed", "manifest/seed": 1, "manifest/error": "the loss is nan", "manifest/steps": 7},
        {"manifest/status": "running", "manifest/seed": 2, "manifest/stopped_because": None},
        {"manifest/status": "gate_failed", "manifest/seed": 3},
    )
    notes = compare(rows).notes
    assert "run 1 (A, seed 1): failed after step 7, in no mean (the loss is nan)" in notes
    assert "run 2 (A, seed 2): still running, or killed after step 60, in no mean" in notes
    assert "run 3 (A, seed 3): gate failed, in the means" in notes
    assert not any(note.startswith("run 0") for note in notes)


def test_the_notes_explain_only_what_the_table_shows(make_rows: MakeRows) -> None:
    def shown(*changes: dict[str, object]) -> str:
        return "\n".join(compare(make_rows(*changes)).notes)

    interval = {"metrics/intervals": {"after": {"retain_probability": [0.9, 1.0]}}}
    powerless = {"metrics/details": {"after": {"forget_quality": {"power": "no power"}}}}
    assert "standard error" in shown({}, {}) and "standard error" not in shown({})
    assert "95 %" in shown(interval) and "95 %" not in shown({})
    assert "no power" in shown(powerless) and "no power" not in shown({})
    assert "closer to its yardstick" in shown({})
    without = {"metrics/oracle": None, "metrics/yardstick": "none"}
    assert "lower, for there is no yardstick for every run" in shown(without) and "retain at match" not in shown(
        without
    )


def test_groups_that_do_not_compare_are_marked_and_on_no_front(make_rows: MakeRows) -> None:
    best = {RETAIN: 0.999, FORGET: 0.104, "manifest/loss": "ga"}
    comparison = compare(make_rows({}, best | {"metrics/decoding": {"limit": 8}}, {"metrics/decoding": {"limit": 16}}))
    assert [(entry.symbols, entry.front) for entry in comparison.entries] == [("", True), ("¶", False)]
    comparison = compare(make_rows({"metrics/decoding": {"limit": 16}}, best | {"metrics/decoding": {"limit": 8}}))
    assert [(entry.symbols, entry.front) for entry in comparison.entries] == [("", True), ("¶", False)]
    assert comparison.body[1][0] == "B¶"
    assert comparison.notes[-2:] == [
        "¶ B: measured otherwise: limit 8 (first: 16); not to be compared with A",
        "marked groups are held against A, the group of the first finished run, 0; they are not on the front",
    ]


def test_the_first_finished_run_is_what_others_are_held_against(make_rows: MakeRows) -> None:
    rows = make_rows(
        {"manifest/status": "failed", "manifest/datasets/forget/sha256": "old"}, {"manifest/loss": "ga"}, {}
    )
    comparison = compare(rows)
    assert comparison.first.run == "1"
    assert {entry.group.rows[0].run: entry.symbols for entry in comparison.entries} == {"0": "†", "1": "", "2": ""}
    unfinished = compare(make_rows({"manifest/status": "failed"}))
    assert (unfinished.first.run, unfinished.entries[0].point) == ("0", None)


@pytest.mark.parametrize(("retain", "front"), [(0.99, [True, True]), (0.5, [True, False])])
def test_the_front_is_over_the_means(make_rows: MakeRows, retain: float, front: list[bool]) -> None:
    """B is further from the oracle's 0.104 than A: on the front only where it keeps more than A's 0.974."""
    rows = make_rows({FORGET: 0.104}, {FORGET: 0.2, RETAIN: retain, "manifest/loss": "ga"})
    assert [entry.front for entry in compare(rows).entries] == front


def test_a_number_of_some_rows_is_marked_and_counted_below(make_rows: MakeRows) -> None:
    some = {"metrics/rows": {"after": {"forget_rouge_l": [1, 4], "retain_rouge_l": [4, 4]}}}
    comparison = compare(make_rows(some, some | {"manifest/seed": 1}), ["forget_rouge_l", "retain_rouge_l"])
    assert [cell[-1] == "◐" for cell in comparison.body[0][4:]] == [True, False]
    assert "◐ A, forget ROUGE-L: 1 of 4 rows have a value" in comparison.notes
