"""The descent record with and without its guard: `python -m benchmarks.descent` (`make bench-descent`).

Runs: the embedded authors (and TinyStories-Lily from ../shared with --lily), each `mollm-unlearn` in a process of its
own, with both metrics, the guard on and off: share of steps in which no live objective rose, before and after the
correction, and retain at matched forgetting. Runs whose row is in --out under the same commit are kept, and where a
guarded run corrected nothing, the run without the guard is the same to the bit and is not run again. Cost: steps of the
speed benchmark's model, all variants interleaved in one process; "correcting" steps uphill, so that every step of it
needs a correction.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.report import merge

SHARED = Path(__file__).parents[2] / "shared"
COMMAND = "from mollm_cli.cli import unlearn; unlearn()"
METRICS = ("euclidean", "adam")
SHORT = ("evaluation.limit=1", "evaluation.generate_tokens=1", "evaluation.oracle=null", "engine.retain_floor=null")


@dataclass(frozen=True, slots=True)
class Task:
    """What is run: overrides, seeds, and the forget probability at which retain is read."""

    name: str
    overrides: tuple[str, ...]
    seeds: tuple[int, ...]
    target: float


AUTHORS = Task(
    "authors",
    ("engine.max_steps=400", "engine.evaluate_every=5", "engine.evaluate_limit=90", "direction.forget_target=0.15"),
    (0, 1, 2),
    0.171,
)
"""The target is just below the oracle's forget probability, so that every path crosses it."""
LILY = Task(
    "tinystories-lily",
    (
        "experiment=tinystories-lily",
        f"model.path={SHARED / 'models' / 'TinyStories-656K'}",
        f"data.forget.path={SHARED / 'data' / 'tinystories' / 'tinystories.jsonl'}",
        "engine.evaluate_every=10",
        "engine.evaluate_limit=64",
    ),
    (1, 2, 3),
    0.02,
)
"""To the experiment's own target; retain is the probability of 64 other stories, which it trains on."""


def measured(task: Task, metric: str, guard: bool, seed: int, folder: Path) -> dict[str, Any]:
    """One run as a row."""
    from mollm_cli.reporting.descent_record import descent_record
    from mollm_cli.reporting.run_files import read_run
    from mollm_cli.reporting.trajectory import evaluations, retain_at_matched_forgetting

    chosen = (f"seed={seed}", f"direction.metric={metric}", f"direction.guard={str(guard).lower()}")
    line = [sys.executable, "-c", COMMAND, *task.overrides, *SHORT, *chosen, f"output_root={folder}"]
    began = time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(chosen)} failed:\n{done.stderr[-2000:]}")
    run = read_run(Path(done.stdout.strip()))
    record = descent_record(run.steps, run.objectives)
    assert record is not None
    gaps = [gap for step in run.steps if (gap := prediction_gap(step, run.objectives)) is not None]
    return {
        "task": task.name,
        "metric": metric,
        "guard": guard,
        "seed": seed,
        "steps": record.steps,
        "descended_before": record.before,
        "descended_after": record.after,
        "worst_before": record.worst_before,
        "worst_after": record.worst_after,
        "corrected": record.corrected,
        "largest_correction": record.largest_correction,
        "largest_prediction_gap": max(gaps),
        "retain_at_matched": retain_at_matched_forgetting(evaluations(run.steps), task.target),
        "seconds": round(time.perf_counter() - began, 1),
    }


def prediction_gap(step: dict[str, Any], objectives: Sequence[str]) -> float | None:
    """The largest |predicted / raw - 1| of a step, where |predicted| > 1e-3 |g_i| |Delta|."""
    gaps = []
    for name in objectives:
        if f"predicted.{name}" not in step:
            continue
        predicted, raw = step[f"predicted.{name}"], step.get(f"raw.{name}", step[f"realised.{name}"])
        if abs(predicted) > 1e-3 * step[f"norm.{name}"] * step["step_norm"]:
            gaps.append(abs(predicted / raw - 1))
    return max(gaps, default=None)


def cost(rounds: int) -> dict[str, list[float]]:
    """Seconds of every interleaved step by variant; two steps of each beforehand are not counted."""
    from benchmarks.rows import EVERY_ROW
    from benchmarks.workload import CLIP_NORM, LR, Workload, move
    from mollm_cli.engine.step import Stepper
    from mollm_cli.losses.mollm import mollm
    from mollm_cli.models.reference import Reference
    from mollm_cli.optimizers.rules import AdamW
    from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA

    workload, kinds = Workload(), {
        "unlogged": (False, "euclidean", False, LR),
        "unlogged, guarded": (True, "euclidean", False, LR),
        "logged": (False, "euclidean", True, LR),
        "logged, guarded": (True, "euclidean", True, LR),
        "logged, correcting": (True, "euclidean", True, -LR),
        "logged, adam": (False, "adam", True, LR),
    }  # fmt: skip
    steppers = {}
    for name, (guard, metric, _, _) in kinds.items():
        model, loss = workload.model(), mollm()
        reference = Reference(model, "copy")
        move(model)
        direction = replace(EVERY_ROW, guard=guard, metric=metric)
        optimizer = AdamW().build(model.parameters())
        steppers[name] = Stepper(model, reference, loss, DualSpaceMGDA(), direction, optimizer, clip_norm=CLIP_NORM)
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for turn in range(rounds + 2):
        batches = {role: [batch] for role, batch in workload.batches(turn).items()}
        for name, (_, _, record, lr) in kinds.items():
            began = time.perf_counter()
            steppers[name](batches, lr, record)
            if turn >= 2:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def show(result: dict[str, Any]) -> None:
    """Print both tables."""
    columns = [key for key in result["rows"][0] if key != "seconds"]
    print(" | ".join(columns))
    for row in result["rows"]:
        print(" | ".join(f"{row[c]:.4g}" if isinstance(row[c], float) else str(row[c]) for c in columns))
    for name, ratio in result["ratios"].items():
        print(f"{name}: {ratio:.3f}")


def measured_pair(task: Task, metric: str, seed: int, folder: Path) -> list[dict[str, Any]]:
    """The rows with the guard on and off."""
    on = measured(task, metric, True, seed, folder)
    if on["corrected"] == 0:
        return [on, {**on, "guard": False, "same_run": True}]
    return [on, measured(task, metric, False, seed, folder)]


def all_rows(tasks: Sequence[Task], seeds: Sequence[int] | None, kept: list[dict[str, Any]], out: Path) -> None:
    """Add what is missing to ``kept``, written down after every pair."""
    with tempfile.TemporaryDirectory() as folder:
        for task in tasks:
            for seed in seeds or task.seeds:
                for metric in METRICS:
                    if not any((r["task"], r["metric"], r["seed"]) == (task.name, metric, seed) for r in kept):
                        kept += measured_pair(task, metric, seed, Path(folder))
                        merge(out, "rows", kept, {})
                        print(f"{task.name} {metric} seed {seed}: done", file=sys.stderr)


def cost_ratios(seconds: dict[str, list[float]]) -> dict[str, float]:
    """A variant's step over that of its base, of minima and of medians."""
    base = {"unlogged": "unlogged", "logged": "logged"}
    ratios = {
        f"{kind}:{name}/{base[name.split(',')[0]]}": of(times) / of(seconds[base[name.split(",")[0]]])
        for kind, of in (("minimum", min), ("median", statistics.median))
        for name, times in seconds.items()
        if name not in base
    }
    return ratios | {"minimum:logged/unlogged": min(seconds["logged"]) / min(seconds["unlogged"])}


def main() -> None:
    """Measure, print, write outputs/bench/descent.json."""
    from benchmarks.machine import machine
    from mollm_cli.launch.provenance import git_commit

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lily", action="store_true", help="also TinyStories-Lily, which needs ../shared")
    parser.add_argument("--seeds", type=lambda text: tuple(map(int, text.split(","))), help="default: three a task")
    parser.add_argument("--rounds", type=int, default=6, help="interleaved steps of each variant; 0: no cost")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench/descent.json"))
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    found = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    commit = git_commit()
    rows = found["rows"] if found.get("commit") == commit else []
    merge(arguments.out, "commit", commit, {})
    all_rows((AUTHORS, LILY) if arguments.lily else (AUTHORS,), arguments.seeds, rows, arguments.out)
    merge(arguments.out, "machine", machine("cpu"), {})
    if arguments.rounds:
        seconds = cost(arguments.rounds)
        merge(arguments.out, "seconds", seconds, cost_ratios(seconds))
    show(json.loads(arguments.out.read_text()))


if __name__ == "__main__":
    main()
