"""A run that stopped and went on is the run that never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Answer, finetune, read_lines, unlearn


def _steps(run: Answer) -> list[dict[str, Any]]:
    return [{key: value for key, value in step.items() if key != "tokens_per_second"} for step in run.steps]


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ["engine.evaluate_every=2", "engine.evaluate_limit=4"],
        ["loss=ga_kl", "optimizer=sgd", "optimizer.momentum=0.9"],
        [
            *("model.adapter=lora", "model.lora_dropout=0.1"),
            *("optimizer.lr=1e-4", "optimizer.warmup_steps=4", "solver=normalized_sum"),
        ],
        ["loss=pdu", "loss.eps=0.01", "solver.warmup_steps=1"],
        ["loss=rmu", "loss.layer=1"],
    ],
    ids=["mollm", "sgd with momentum", "lora with dropout", "a multiplier", "some matrices"],
)
def test_resume_equals_the_uninterrupted_run_bit_for_bit(overrides: list[str], root: Path) -> None:
    whole = unlearn(root, *overrides, "engine.max_steps=4")
    first = unlearn(root, *overrides, "engine.max_steps=2")
    again = unlearn(root, f"resume={first.run_dir}", "engine.max_steps=4", *_settings(overrides))
    assert again.code == 0, again.err
    assert again.run_dir == first.run_dir
    assert _steps(again) == _steps(whole)
    assert again.metrics == whole.metrics
    assert again.manifest["checkpoint"] == whole.manifest["checkpoint"]
    assert read_lines(again.run_dir / "samples.jsonl") == read_lines(whole.run_dir / "samples.jsonl")
    assert [point.name for point in (again.run_dir / "resume").iterdir()] == ["step-00000004"]


def _settings(overrides: list[str]) -> list[str]:
    """Those that the short form of the command line in tests/support would set back."""
    return [override for override in overrides if override.startswith("engine.evaluate_every")]


@pytest.mark.slow
def test_finetune_resumes_too(root: Path) -> None:
    start = ["train=[retain]", "model.weights=random", "optimizer.lr=1e-3"]
    whole, first = finetune(root, *start, "engine.max_steps=4"), finetune(root, *start, "engine.max_steps=2")
    again = finetune(root, f"resume={first.run_dir}", "engine.max_steps=4")
    assert again.code == 0, again.err
    assert _steps(again) == _steps(whole) and again.manifest["checkpoint"] == whole.manifest["checkpoint"]


def test_a_resume_point_of_another_model_is_refused(root: Path, mollm: Answer) -> None:
    again = unlearn(root, f"resume={mollm.run_dir}", "model.adapter=lora")
    assert again.code == 2 and "keep what its numbers depend on, found model.adapter=lora (it was none)" in again.err


def test_resume_of_nothing_is_refused(root: Path, tmp_path: Path) -> None:
    run = unlearn(root, f"resume={tmp_path}")
    assert (run.code, run.out) == (2, "") and not root.exists()
    assert "resume must name a run directory with config.yaml and resume/" in run.err
