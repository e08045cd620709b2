"""``--plan`` against runs: an upper bound of what a process had resident at its peak, at most 15 % above it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.run import foresight
from tests.support.cli import ROOT, unlearn

FSDP = ("engine.processes=2", "engine.parallel=fsdp", "engine.batch_size=7")
SHORT = ("evaluation.limit=8", "evaluation.generate_tokens=8", "evaluation.oracle=null", "engine.device=cpu")
MORE = 1.15
"""How far a plan may be above what is measured."""


def _alone(*typed: str) -> str:
    """What a command line in a process of its own prints on stdout."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    line = [sys.executable, "-m", "mollm_cli", *typed]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "typed",
    [
        (),
        ("loss=ga_kl",),
        ("model.adapter=lora",),
        ("direction.gram=sketch", "engine.micro_batch=4"),
        ("model.dtype=bfloat16",),
    ],
)
def test_a_plan_is_an_upper_bound_and_no_more_than_15_percent_above(typed: tuple[str, ...], root: Path) -> None:
    line = (*SHORT, *typed, "engine.max_steps=4", "engine.evaluate_every=2", f"output_root={root}")
    planned = json.loads(_alone("--plan", *line))["peak_bytes"]
    run = Path(_alone(*line).strip())
    measured = json.loads((run / "manifest.json").read_text())["peak_memory_bytes"]
    assert measured <= planned <= MORE * measured


def _plan(root: Path, *typed: str) -> tuple[dict[str, Any], str]:
    done = unlearn(root, "--plan", "evaluation.oracle=null", *typed)
    assert done.code == 0, done.err
    assert not root.exists()
    plan: dict[str, Any] = json.loads(done.out)
    return plan, done.err


def _terms(plan: dict[str, Any]) -> dict[str, Any]:
    (step,) = [phase for phase in plan["phases"] if phase["name"] == "step"]
    return {term["name"]: term for term in step["terms"]}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The plan of one process."""
    return _plan(tmp_path_factory.mktemp("one") / "out", "engine.batch_size=7")


@pytest.mark.slow
def test_one_process_is_planned_and_not_timed_unasked(one: tuple[dict[str, Any], str]) -> None:
    plan, err = one
    assert (plan["processes"], plan["fits"], plan["assumed"]) == (1, True, None)
    assert _terms(plan)["activations"]["why"].startswith("forget 7 x ")
    assert "training" not in plan and "training" not in err
    assert plan["remedies"] == []  # nothing saves a tenth where the libraries alone take more than this model does


@pytest.mark.slow
def test_hours_are_measured_on_request_and_left_out_by_an_interruption(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, err = _plan(root, "--hours", "engine.batch_size=7", "engine.max_steps=5")
    assert plan["training"]["steps"] == 5 and "training: about " in err

    def interrupted(*_: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(foresight, "timed", interrupted)
    plan, err = _plan(root, "--hours")
    assert plan["peak_bytes"] > 0 and "training" not in plan and "memory plan: " in err


@pytest.mark.slow
def test_two_processes_have_half_of_the_rows_and_of_the_weights(one: tuple[dict[str, Any], str], root: Path) -> None:
    two, err = _plan(root, *FSDP, "--hours")
    assert (two["processes"], two["fits"]) == (2, None)  # of which machine, nobody knows
    assert _terms(two)["activations"]["why"].startswith("forget 4 x ")  # the process that has more of 7
    for name in ("weights", "optimizer state"):
        assert _terms(two)[name]["bytes"] == pytest.approx(_terms(one[0])[name]["bytes"] / 2, rel=0.01)
    assert "no time is measured, steps of one process" in err
    replicas, _ = _plan(root, "engine.processes=2", "engine.batch_size=7")
    assert _terms(replicas)["weights"]["bytes"] == _terms(one[0])["weights"]["bytes"]


@pytest.mark.slow
def test_a_model_of_conf_is_planned_without_the_hub(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    plan, err = _plan(root, "model=opt-125m", "data=authors", "engine.batch_size=2", "model.adapter=lora")
    assert plan["parameters"] > 125_239_296 and "3 bytes of text are assumed to be a token" in plan["assumed"]
    assert "model.path=facebook/opt-125m is not in the local cache" in err
