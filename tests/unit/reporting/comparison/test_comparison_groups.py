from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mollm_cli.reporting.comparison.groups import groups
from mollm_cli.reporting.comparison.run_rows import RunRow, collect

MakeRows = Callable[..., list[RunRow]]


def _retain(row: RunRow) -> float | None:
    return row.value("retain_probability")


def test_mean_and_standard_error_over_seeds(sweep: Path) -> None:
    mollm, ga = groups(collect(sweep))
    estimate = mollm.estimate(_retain)
    assert estimate.mean == pytest.approx(0.92)
    assert estimate.error == pytest.approx(0.02 / 3**0.5)  # s = 0.02 with n - 1
    assert (len(mollm.finished), len(ga.finished), len(ga.rows)) == (3, 1, 2)
    alone = ga.estimate(_retain)
    assert (alone.mean, alone.error, alone.runs) == (0.974, None, 1)
    nothing = ga.estimate(lambda row: None)
    assert (nothing.mean, nothing.error, nothing.runs) == (None, None, 0)


def test_numbers_of_a_run_that_did_not_finish_are_in_no_mean(make_rows: MakeRows) -> None:
    rows = make_rows(
        *(
            {"manifest/status": status, "metrics/after/retain_probability": value}
            for status, value in (("completed", 0.9), ("failed", 0.1), ("interrupted", 0.2), ("gate_failed", 0.8))
        )
    )
    (group,) = groups(rows)
    estimate = group.estimate(_retain)
    assert (estimate.mean, estimate.runs) == (pytest.approx(0.85), 2)
    assert estimate.error == pytest.approx(0.05)  # s = 0.1 / sqrt(2), over sqrt(2)


def test_runs_with_different_settings_are_never_averaged(make_rows: MakeRows) -> None:
    def config(seed: int, budget: float) -> dict[str, str]:
        return {"config": f"seed: {seed}\noptimizer: {{lr: 0.001}}\ndirection: {{kl_budget: {budget}}}\n"}

    found = groups(make_rows(config(0, 0.01), config(1, 0.02), config(1, 0.01)))
    names = [f"mollm, dual_space_mgda, lr 0.001, direction.kl_budget={budget}" for budget in (0.01, 0.02)]
    assert [group.name for group in found] == names
    assert [[row.run for row in group.rows] for group in found] == [["0", "2"], ["1"]]


def test_a_name_holds_three_settings_and_derived_ones_last(make_rows: MakeRows) -> None:
    def config(value: int) -> dict[str, str]:
        keys = {"names": f"{{data: d{value}}}", **dict.fromkeys(("a", "b", "c", "d"), value)}
        return {"config": "".join(f"{key}: {text}\n" for key, text in keys.items())}

    first, second = groups(make_rows(config(1), config(2)))
    assert first.name.endswith("a=1, b=1, c=1, 2 settings more")
    assert second.name.endswith("a=2, b=2, c=2, 2 settings more")
    assert first.learning_rate is None and "lr" not in first.name


def test_runs_that_differ_in_what_they_were_measured_on_are_told_apart(make_rows: MakeRows) -> None:
    other = {"manifest/datasets/retain/sha256": "other"}
    decoded = {"metrics/decoding": {"limit": 8}}
    found = groups(
        make_rows({"metrics/decoding": {"limit": 4}}, other, {}, decoded, other | {"manifest/status": "failed"})
    )
    assert [[row.run for row in group.rows] for group in found] == [["0", "2"], ["1", "4"], ["3"]]
    assert [group.varied for group in found] == ["", "other rows of retain", "measured otherwise: limit 8 (first: 4)"]


def test_a_run_that_recorded_nothing_does_not_bring_different_ones_together(make_rows: MakeRows) -> None:
    nothing = {"manifest/datasets": None, "manifest/status": "failed"}
    found = groups(make_rows(nothing, {}, {"manifest/datasets/forget/sha256": "other"}))
    assert [[row.run for row in group.rows] for group in found] == [["0", "1"], ["2"]]
