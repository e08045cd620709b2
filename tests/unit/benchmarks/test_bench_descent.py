from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import descent
from benchmarks.descent import Task, all_rows, cost_ratios, prediction_gap


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool, int]]:
    """What was run; under Adam's metric the guard corrects a third of the steps, else none."""
    calls: list[tuple[str, bool, int]] = []

    def measured(task: Task, metric: str, guard: bool, seed: int, folder: Path) -> dict[str, Any]:
        calls.append((metric, guard, seed))
        corrected = 0.3 if guard and metric == "adam" else 0
        return {"task": task.name, "metric": metric, "guard": guard, "seed": seed, "corrected": corrected}

    monkeypatch.setattr(descent, "measured", measured)
    return calls


def test_what_was_not_corrected_is_not_run_without_the_guard(ran: list[tuple[str, bool, int]], tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    all_rows([Task("a", (), (0,), 0.1)], None, rows, tmp_path / "rows.json")
    assert ran == [("euclidean", True, 0), ("adam", True, 0), ("adam", False, 0)]
    assert [(r["metric"], r["guard"], r.get("same_run", False)) for r in rows] == [
        ("euclidean", True, False),
        ("euclidean", False, True),
        ("adam", True, False),
        ("adam", False, False),
    ]
    assert json.loads((tmp_path / "rows.json").read_text())["rows"] == rows


def test_rows_that_are_there_are_kept(ran: list[tuple[str, bool, int]], tmp_path: Path) -> None:
    there = {"task": "a", "metric": "adam", "guard": True, "seed": 1}
    all_rows([Task("a", (), (0,), 0.1)], (1, 2), [there], tmp_path / "rows.json")
    assert [(metric, seed) for metric, _, seed in ran] == [("euclidean", 1), ("euclidean", 2), ("adam", 2), ("adam", 2)]


def test_the_gap_between_prediction_and_step_by_hand() -> None:
    step = {"predicted.a": -1.0, "raw.a": -1.1, "realised.a": -9.0, "norm.a": 2.0, "step_norm": 1.0}
    short = {"predicted.b": -1e-3, "realised.b": 5.0, "norm.b": 2.0}  # below 1e-3 |g||Delta|: rounding
    assert prediction_gap(step | short, ["a", "b", "c"]) == pytest.approx(1 / 11)
    assert prediction_gap(short | {"step_norm": 1.0}, ["b"]) is None


def test_a_variant_is_told_over_its_own_base() -> None:
    seconds = {
        "unlogged": [1.0, 2.0],
        "unlogged, guarded": [2.0, 3.0],
        "logged": [4.0, 4.0],
        "logged, adam": [6.0, 8.0],
    }
    found = cost_ratios(seconds)
    assert found["minimum:unlogged, guarded/unlogged"] == 2.0
    assert found["median:logged, adam/logged"] == 7 / 4
    assert found["minimum:logged/unlogged"] == 4.0
