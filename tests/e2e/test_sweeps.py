"""``-m``: one run a combination, one table, the worst exit code."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from mollm_cli.configuration.choices import config_dir
from tests.support.cli import Answer, read, read_lines, unlearn


def _table(sweep: Answer) -> list[dict[str, str]]:
    with (sweep.run_dir / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_sweep_over_losses(root: Path) -> None:
    sweep = unlearn(root, "-m", "loss=ga,ga_kl", "seed=1")
    assert sweep.code == 0, sweep.err
    assert sweep.run_dir.parent.parent == root / "sweeps"
    table = _table(sweep)
    assert [(row["loss"], row["seed"]) for row in table] == [("ga", "1"), ("ga_kl", "1")]
    for job, row in enumerate(table):
        metrics = read(sweep.run_dir / str(job) / "metrics.json")
        assert float(row["forget_probability_after"]) == metrics["after"]["forget_probability"]
        assert (row["status"], row["exit_code"]) == ("completed", "0")
        assert (sweep.run_dir / str(job) / "checkpoint" / "model.safetensors").is_file()


@pytest.mark.slow
def test_a_job_that_fails_does_not_stop_the_others(root: Path) -> None:
    sweep = unlearn(root, "-m", "loss=ga", "optimizer.lr=1e30,1e-4", 'gates=["forget_probability<=0.01"]')
    assert sweep.code == 1, sweep.err  # a failed run is worse than a failed gate
    assert [(row["status"], row["exit_code"]) for row in _table(sweep)] == [("failed", "1"), ("gate_failed", "3")]
    assert "Traceback" not in sweep.err


@pytest.mark.slow
def test_a_search_of_real_runs(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the search needs the extra optuna")
    asked = (config_dir() / "sweep" / "pareto-search.yaml").read_text()
    assert "trials: 24\n" in asked
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "three.yaml").write_text(asked.replace("trials: 24\n", "trials: 3\n"))
    sweep = unlearn(root, "--config-dir", str(tmp_path), "sweep=three", "loss=ga_kl", "engine.max_steps=1,2")
    assert sweep.code == 0, sweep.err
    rows = _table(sweep)
    assert [row["status"] for row in rows] == ["completed"] * 3
    assert {len(read_lines(sweep.run_dir / row["run"] / "train.jsonl")) for row in rows} <= {1, 2}
    front = re.findall(r"^job (\d): forget (\S+), retain (\S+): ", sweep.err, re.MULTILINE)
    assert front
    for job, *values in front:
        metrics = read(sweep.run_dir / job / "metrics.json")
        forget, retain = (metrics["after"][f"{role}_probability"] for role in ("forget", "retain"))
        unseen = metrics["before"]["holdout_probability"]  # of rows that no model saw
        assert values == [f"{abs(forget - unseen):.4f}", f"{retain:.4f}"]
