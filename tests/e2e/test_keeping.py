"""Which weights a run keeps, what CI is told, and what a sweep recommends: on the embedded model."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from mollm_cli.configuration.programs import UNLEARN
from tests.support.cli import Answer, answer, read, unlearn

LOOKED = ("engine.evaluate_every=1", "engine.evaluate_limit=4", "optimizer.lr=1e-3")
RULE = ("engine.keep=target", "engine.stop_at_target=false", "direction.forget_target=0.9")


def _seen(run: Answer) -> dict[int, tuple[float, float]]:
    """Forget and retain probability by step."""
    names = ("evaluation.forget_probability", "evaluation.retain_probability")
    return {step["step"]: (step[names[0]], step[names[1]]) for step in run.steps if names[0] in step}


@pytest.mark.slow
def test_the_kept_evaluation_is_what_the_rule_says_and_what_the_checkpoint_holds(root: Path) -> None:
    run = unlearn(root, *LOOKED, *RULE, "engine.max_steps=5", "engine.patience=3")
    assert run.code == 0, run.err
    kept, seen = run.manifest["selection"], _seen(run)
    reached = {step: pair for step, pair in seen.items() if pair[0] <= 0.9}
    assert reached and min(reached) > 0
    assert kept["step"] == max(reached, key=lambda step: reached[step][1])
    assert (kept["forget_probability"], kept["retain_probability"]) == seen[kept["step"]]
    assert "at or below the forget target 0.9" in kept["because"]
    assert f"kept: step {kept['step']}, {kept['because']}\n" in run.err
    short = unlearn(root, *LOOKED, *RULE, f"engine.max_steps={kept['step']}")
    assert short.manifest["checkpoint"] == run.manifest["checkpoint"] and short.metrics["after"] == run.metrics["after"]


@pytest.mark.slow
def test_the_yardstick_is_the_oracles_probability(root: Path) -> None:
    oracle = ("evaluation.oracle=embedded:oracle", "direction.forget_target=null", "engine.keep=yardstick")
    run = unlearn(root, *LOOKED, *oracle, "engine.max_steps=2")
    assert run.code == 0, run.err
    (line,) = [line for line in run.err.splitlines() if line.startswith("yardstick: ")]
    mark = float(line.split()[6])
    assert 0 < mark < 0.5 and f"nearest to the oracle's, {mark:.4g}"[:30] in run.manifest["selection"]["because"]
    seen = _seen(run)
    assert run.manifest["selection"]["step"] == min(seen, key=lambda step: abs(seen[step][0] - mark))
    plain = unlearn(root, *LOOKED, "direction.forget_target=null", "engine.max_steps=2")
    assert _seen(plain) == seen  # looking for it changes no step


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("model.adapter=lora", "model.lora_dropout=0.1")], ids=["whole", "lora"])
def test_resume_keeps_what_the_uninterrupted_run_keeps(more: tuple[str, ...], root: Path) -> None:
    typed = (*LOOKED, *RULE, *more)
    whole, first = unlearn(root, *typed, "engine.max_steps=6"), unlearn(root, *typed, "engine.max_steps=3")
    early = first.manifest["selection"]["step"]
    again = unlearn(root, f"resume={first.run_dir}", "engine.max_steps=6", "engine.evaluate_every=1")
    assert again.code == 0, again.err
    assert again.manifest["selection"] == whole.manifest["selection"] and early <= 3 < again.manifest["steps"]
    assert again.manifest["checkpoint"] == whole.manifest["checkpoint"] and again.metrics == whole.metrics
    names = [sorted(p.name for p in (run.run_dir / "resume").iterdir()) for run in (again, whole)]
    assert names[0] == names[1] == [f"kept-{whole.manifest['selection']['step']:08d}.safetensors", "step-00000006"]


def test_a_collapsed_run_keeps_the_best_before_the_collapse(root: Path) -> None:
    harsh = ("loss=ga", "optimizer.lr=0.05", "engine.clip_norm=null", "engine.max_steps=50", "engine.retain_floor=0.9")
    run = unlearn(root, "engine.evaluate_every=1", "engine.evaluate_limit=2", *harsh, "engine.keep=target")
    kept, seen = run.manifest["selection"], _seen(run)
    assert (
        run.code == 0 and run.manifest["stopped_because"] == "retain_collapsed" and kept["step"] < run.manifest["steps"]
    )
    assert kept["retain_probability"] >= 0.9 * seen[0][1]
    assert run.metrics["after"]["retain_probability"] > 0.5


def test_a_rule_without_a_target_is_refused_before_a_model_is_loaded(root: Path) -> None:
    run = unlearn(root, "engine.evaluate_every=1", "engine.keep=target", "direction.forget_target=null")
    assert run.code == 2 and "engine.keep=target needs a forget target, found none" in run.err
    assert "model" not in run.manifest


def _suite(file: Path) -> dict[str, Any]:
    return dict(ElementTree.parse(file).getroot()[0].attrib)


@pytest.mark.slow
def test_ci_is_told_of_gates_that_fail_and_of_runs_that_do(root: Path, tmp_path: Path) -> None:
    junit, summary = tmp_path / "ci" / "gates.xml", tmp_path / "summary.md"
    told = (f"junit={junit}", f"github_summary={summary}", 'gates=["forget_probability<=holdout","seed==0"]')
    run = unlearn(root, *told[:2], 'gates=["forget_probability<=holdout","retain_probability>=0.5*before"]')
    assert run.code == 3
    assert (_suite(junit)["tests"], _suite(junit)["failures"], _suite(junit)["errors"]) == ("3", "1", "0")
    assert [gate["held"] for gate in run.manifest["gates"]] == [False, True]
    assert "gate FAILED: forget_probability<=holdout (value " in run.err and " is not <= " in run.err
    assert unlearn(root, *told).code == 2  # refused before the model is loaded, and told
    assert (_suite(junit)["tests"], _suite(junit)["errors"]) == ("1", "1")
    assert summary.read_text().count("### mollm: ") == 2


@pytest.mark.slow
def test_a_sweep_recommends_what_the_next_run_repeats(root: Path) -> None:
    short = ("engine.max_steps=4", "engine.evaluate_every=2", "engine.evaluate_limit=4", "direction.forget_target=0.9")
    sweep = unlearn(root, "sweep=learning-rate", "optimizer.lr=1e-5,1e-3", *short)
    assert sweep.code == 0, sweep.err
    assert "2 runs of at most 4 steps each (at most 8 steps)" in sweep.err
    file = sweep.run_dir / "experiment" / "recommended.yaml"
    assert "optimizer.lr=1e-05: reached the target in 0 of 1 runs" in sweep.err
    assert yaml.safe_load(file.read_text())["optimizer"] == {"lr": 0.001}
    command = sweep.err.strip().splitlines()[-1].split()
    assert command[:2] == ["mollm-unlearn", "--config-dir"]
    again = answer(UNLEARN, *command[1:])
    assert again.code == 0, again.err
    assert again.manifest["checkpoint"] == read(sweep.run_dir / "1" / "manifest.json")["checkpoint"]
