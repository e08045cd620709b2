from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.reporting.comparison.run_rows import RunRow, collect

MakeRun = Callable[..., Path]
MakeRows = Callable[..., list[RunRow]]


def test_a_row_holds_what_the_run_tells(sweep: Path) -> None:
    rows = collect(sweep)
    assert [row.run for row in rows] == ["0", "1", "2", "3", "10"]
    assert (rows[0].loss, rows[0].solver, rows[0].learning_rate) == ("mollm", "dual_space_mgda", 0.001)
    assert rows[0].value("forget_probability", "before") == 0.996
    assert rows[0].value("nothing") is None
    # The path comes down to the oracle's 0.104 in its last interval, where retain goes from .97491 to .97462.
    assert rows[0].matched_retain == pytest.approx(0.9746, abs=2e-4)
    assert rows[0].verdict == {"forget": "matched", "retain": "kept", "robustness": "untested"}
    assert (rows[4].status, rows[4].exit_code, rows[4].steps, rows[4].matched_retain) == ("failed", 1, 7, None)
    assert (rows[4].why, rows[4].finished, rows[0].finished) == ("the loss is nan", False, True)


def test_a_run_whose_gate_failed_is_finished(make_rows: MakeRows) -> None:
    statuses = ("completed", "gate_failed", "failed", "interrupted", "running")
    rows = make_rows(*({"manifest/status": status} for status in statuses))
    assert [row.finished for row in rows] == [True, True, False, False, False]


def test_runs_and_sweeps_can_be_named_together_and_none_counts_twice(sweep: Path) -> None:
    assert [row.run for row in collect([sweep / "3", sweep, sweep / ".." / "sweep" / "0"])] == [
        "3",
        "0",
        "1",
        "2",
        "10",
    ]


def test_runs_of_one_name_are_called_by_their_folders(make_run: MakeRun) -> None:
    runs = [make_run("a/0"), make_run("b/0"), make_run("b/1")]
    assert [row.run for row in collect(runs)] == ["a/0", "b/0", "1"]


def test_intervals_attacks_and_powerless_tests(make_rows: MakeRows) -> None:
    intervals = {"after": {"forget_probability": [0.09, 0.12], "retain_probability": [None, 1], "x": [1]}, "before": {}}
    attacks = {
        "relearning": {"kind": "weights", "headline": "attack_relearning_probability"},
        "odd": {"kind": "rewrite"},
        "bad": "text",
    }
    details = {"after": {"forget_quality": {"D": 0.1, "n": 40, "power": "no power"}, "other": {"D": 0.2}}}
    (row,) = make_rows({"metrics/intervals": intervals, "metrics/attacks": attacks, "metrics/details": details})
    assert row.intervals == {"forget_probability": (0.09, 0.12)}
    assert row.attacks == {"relearning": "attack_relearning_probability"}
    assert row.powerless == {"forget_quality"}


def test_a_run_from_before_all_that_still_reads(make_run: MakeRun) -> None:
    row = collect(make_run(metrics={"after": {"forget_probability": 0.5}}, manifest=None, config="{}"))[0]
    assert (row.intervals, row.verdict, row.attacks, row.powerless) == ({}, {}, {}, frozenset())
    assert (row.status, row.seed, row.value("forget_probability")) == ("unknown", None, 0.5)


def test_the_names_come_from_the_configuration_where_the_manifest_has_none(make_run: MakeRun) -> None:
    config = "names: {loss: ga_kl}\nsolver: {_target_: a.b.pcgrad}\n"
    row = collect(make_run(manifest=None, metrics=None, config=config))[0]
    assert (row.loss, row.solver, row.status) == ("ga_kl", "pcgrad", "unknown")


def test_what_files_say_cannot_move_the_cursor(make_rows: MakeRows) -> None:
    manifest: dict[str, Any] = {"manifest/error": "a\x1b[2Jb\nc", "manifest/status": "fai\x07led"}
    (row,) = make_rows(manifest | {"metrics/verdict": {"forget": "\x1b[31mover"}})
    assert (row.why, row.status, row.verdict) == (r"a\x1b[2Jb c", r"fai\x07led", {"forget": r"\x1b[31mover"})


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RequestError, match=r"a run directory or a folder of them is needed; .* is neither"):
            collect(path)
