from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from mollm_cli.reporting.comparison.csv_file import COMPARED, IDENTITY, write_csv
from mollm_cli.reporting.comparison.run_rows import RunRow, collect
from mollm_cli.reporting.run_comparison import write_sweep_csv

MakeRows = Callable[..., list[RunRow]]


def _read(rows: list[RunRow]) -> list[dict[str, str]]:
    text = io.StringIO()
    write_csv(rows, text)
    return list(csv.DictReader(io.StringIO(text.getvalue())))


def test_sweep_csv_has_a_row_per_run(sweep: Path) -> None:
    with write_sweep_csv(sweep).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == ["0", "1", "2", "3", "10"]
    assert rows[0]["forget_probability_before"] == "0.996"
    assert rows[0]["forget_probability_oracle"] == "0.104"
    assert float(rows[0]["retain_at_matched_forgetting"]) == pytest.approx(0.9746, abs=2e-4)
    failed = rows[4]
    assert (failed["status"], failed["forget_probability_after"], failed["group"]) == ("failed", "", "B")
    assert failed["retain_at_matched_forgetting"] == ""
    assert [row["on_front"] for row in rows] == ["False"] * 3 + ["True"] * 2
    assert rows == _read(collect(sweep))


def test_a_sweep_without_runs_has_a_header(tmp_path: Path) -> None:
    lines = write_sweep_csv(tmp_path).read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(",".join([*IDENTITY, *COMPARED]))
    assert "retain_probability_oracle" in lines[0]


def test_the_leading_metrics_come_first(sweep: Path) -> None:
    after = [key for key in _read(collect(sweep))[0] if key.endswith("_after")]
    lead = ("forget_probability", "retain_probability", "forget_test_probability", "retain_test_probability")
    assert after[:4] == [f"{name}_after" for name in lead]


def test_intervals_and_differences(make_rows: MakeRows) -> None:
    interval = {"metrics/intervals": {"after": {"forget_rouge_l": [0.25, 0.5]}}, "manifest/loss": "ga"}
    first, other = _read(make_rows({}, interval | {"manifest/datasets/retain/sha256": "other"}))
    assert (other["forget_rouge_l_after_low"], other["forget_rouge_l_after_high"]) == ("0.25", "0.5")
    assert (first["forget_rouge_l_after_low"], first["differs"]) == ("", "")
    assert (other["differs"], other["on_front"]) == ("other rows of retain", "False")
    assert "retain_rouge_l_after_low" not in first


def test_a_spreadsheet_evaluates_nothing(make_rows: MakeRows) -> None:
    evil = {"manifest/loss": "=HYPERLINK(1)", "metrics/after/=1+1": 0.5, "metrics/after/privacy_leakage": -12.5}
    (row,) = _read(make_rows(evil))
    assert row["loss"] == "'=HYPERLINK(1)" and row["'=1+1_after"] == "0.5"
    assert row["privacy_leakage_after"] == "-12.5"  # a number stays one


def test_rows_with_a_value_are_counted(make_rows: MakeRows) -> None:
    some = {"metrics/rows": {"after": {"forget_rouge_l": [1, 4]}}}
    first, other = _read(make_rows(some, {"manifest/seed": 1}))
    assert (first["forget_rouge_l_after_valued"], first["forget_rouge_l_after_rows"]) == ("1", "4")
    assert (other["forget_rouge_l_after_valued"], other["forget_rouge_l_after_rows"]) == ("", "")
