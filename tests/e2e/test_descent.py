"""The descent record of whole runs: in train.jsonl, metrics.json and the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import unlearn


@pytest.mark.slow
def test_a_run_tells_its_descent_record(tmp_path: Path) -> None:
    run = unlearn(tmp_path, "direction.metric=adam", "direction.verify=true", "optimizer.lr=1e-3")
    assert run.code == 0, run.err
    descent, names = run.metrics["descent"], [key[5:] for key in run.steps[-1] if key.startswith("loss.")]
    assert descent["guard"] is True
    assert descent["steps"] == 3
    assert descent["after"] == 1.0 >= descent["before"]
    assert list(descent["objectives"]) == names
    assert "no certified unlearning" in descent["is_not"]
    for step in run.steps:
        assert {f"{key}.{name}" for key in ("predicted", "raw", "realised", "after") for name in names} < set(step)
        assert {"correction", "step_norm"} < set(step)
    page = (run.run_dir / "report.html").read_text(encoding="utf-8")
    assert "Steps in which a live objective did not rise" in page
    assert "no certified unlearning" in page


@pytest.mark.slow
def test_a_run_without_gram_matrix_has_none(tmp_path: Path) -> None:
    run = unlearn(tmp_path, "loss=ga_kl")
    assert run.code == 0, run.err
    assert run.metrics["descent"] is None
    assert "did not rise" not in (run.run_dir / "report.html").read_text(encoding="utf-8")
