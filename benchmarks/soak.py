"""A run that is killed again and again, beside one that is left alone: `python -m benchmarks.soak` (`make soak`).

Both are `mollm-unlearn resume=auto run_dir=DIR` on a small random model; whenever the first is killed, by SIGKILL or
SIGTERM, at a random step, during its start or while it writes a resume point, the same command is typed again. Then the
parameters of both are compared, byte by byte. Memory: bytes resident after each step of the run that is left alone.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import show_grid, write
from benchmarks.soak_process import WHENS, Kill, Life, Watch, planned

INTERVAL = 20
"""Steps between resume points."""
EVALUATED = 100
"""Steps between looks."""
MOST_GROWTH = 0.02
KILLED = (-signal.SIGKILL, 143, -signal.SIGTERM)
"""Exit codes of a process that was killed."""
TIMES = ("tokens_per_second",)
"""What train.jsonl says of the machine and not of the run."""
LINE = (
    "model.weights=random", "model.reference=copy", "direction.forget_target=1e-6", "data.cache=false",
    "engine.batch_size=1", "engine.device=cpu", f"engine.checkpoint_every={INTERVAL}",
    f"engine.evaluate_every={EVALUATED}", "engine.evaluate_limit=4", "engine.keep=target",
    "engine.retain_floor=null", "engine.stop_at_target=false", "optimizer.schedule=cosine", "optimizer.lr=1e-4",
    "optimizer.warmup_steps=50", "evaluation.limit=1", "evaluation.oracle=null", "evaluation.generate_tokens=1",
)  # fmt: skip


def small_model(folder: Path) -> Path:
    """A Llama of one layer and the embedded tokenizer: a step takes some milliseconds."""
    import shutil

    from mollm_cli.assets.locate import resolve

    shutil.copytree(resolve("embedded:tiny"), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    shape = {"hidden_size": 16, "head_dim": 16, "intermediate_size": 32, "num_attention_heads": 1}
    shape |= {"num_key_value_heads": 1, "num_hidden_layers": 1}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | shape), encoding="utf-8")
    return folder


def lived(
    command: Sequence[str],
    run_dir: Path,
    kills: Sequence[Kill],
    folder: Path,
    usual: float,
    codes: Sequence[int] = KILLED,
) -> list[Life]:
    """The processes that it took to complete the run in ``run_dir``, one after the other.

    codes: those that a killed one may end with.
    """
    lives: list[Life] = []
    waiting = list(kills)
    while not lives or lives[-1].killed:
        kill = waiting.pop(0) if waiting else None
        watch = Watch([*command, f"run_dir={run_dir}"], run_dir, folder / f"{run_dir.name}.txt", usual)
        life = watch.run(kill)
        lives.append(life)
        allowed = codes if life.killed else (0,)
        if life.code not in allowed:
            raise SystemExit(f"a process ended with {life.code}, must be one of {allowed}:\n{life.said}")
        told = f"killed by {kill.signal} ({kill.when})" if kill is not None and life.killed else "ended"
        print(f"{run_dir.name} {len(lives)}: {life.first} to {life.last}, {told}", file=sys.stderr, flush=True)
    return lives


def rows(kills: Sequence[Kill], lives: Sequence[Life]) -> list[dict[str, Any]]:
    """A row a kill; steps_lost: how far the process after it went back, put to the last that had taken a step."""
    found: list[dict[str, Any]] = []
    owing: dict[str, Any] | None = None
    reached = 0
    for kill, life in zip([*kills, None], lives, strict=False):
        if life.first is not None and owing is not None:
            owing["steps_lost"] = reached - life.first
            owing = None
        if kill is None or not life.killed:
            continue
        row = {"signal": signal.Signals(kill.signal).name, "when": kill.when, "exit_code": life.code, "steps_lost": 0}
        row |= {"first": life.first, "last": life.last, "seconds_to_end": life.ended, "half_written": life.torn}
        found.append(row)
        if life.last is not None and life.last > (life.first or 0):
            owing, reached = row, life.last
    return found


def growth(memory: Mapping[int, int], steps: int) -> dict[str, float]:
    """Mean bytes resident over the first and the last thousand steps (of a shorter run: halves), and their ratio."""
    span = min(1000, steps // 2)
    first = statistics.fmean(size for step, size in memory.items() if step <= span)
    last = statistics.fmean(size for step, size in memory.items() if step > steps - span)
    return {"first_bytes": first, "last_bytes": last, "growth": last / first - 1}


def stepping(cpu: Mapping[int, float]) -> float:
    """Seconds of processor of a step, its line in train.jsonl included: of those with no save and no evaluation."""
    plain = [step for step in cpu if step - 1 in cpu and (step - 1) % INTERVAL and step % EVALUATED]
    return statistics.fmean(cpu[step] - cpu[step - 1] for step in plain)


def same(first: Path, second: Path) -> dict[str, bool]:
    """Whether two runs have the same parameters, losses and choice, to the byte."""

    def weights(run: Path) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in sorted((run / "checkpoint").glob("*.safetensors"))}

    def steps(run: Path) -> list[dict[str, Any]]:
        lines = map(json.loads, (run / "train.jsonl").read_text(encoding="utf-8").splitlines())
        return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]

    def chosen(run: Path) -> Any:
        return json.loads((run / "manifest.json").read_text(encoding="utf-8"))["selection"]

    return {
        "parameters": bool(weights(first)) and weights(first) == weights(second),
        "train_log": steps(first) == steps(second),
        "selection": chosen(first) == chosen(second),
    }


def summary(kills: Sequence[dict[str, Any]], alone: Life, lives: Sequence[Life], steps: int) -> dict[str, Any]:
    """The figures of the soak."""
    ticks = sorted(alone.cpu)
    everything = (alone.cpu[ticks[-1]] - alone.cpu[ticks[0]]) / (ticks[-1] - ticks[0])
    term = [row["seconds_to_end"] for row in kills if row["exit_code"] == 143]
    return {
        "steps": steps,
        "kills_survived": len(kills),
        "by_signal": {name: sum(row["signal"] == name for row in kills) for name in ("SIGKILL", "SIGTERM")},
        "by_moment": {when: sum(row["when"] == when for row in kills) for when in WHENS},
        "half_written_points": sum(row["half_written"] for row in kills),
        "checkpoint_every": INTERVAL,
        "most_steps_lost": max((row["steps_lost"] for row in kills), default=0),
        "steps_lost": sum(row["steps_lost"] for row in kills),
        "seconds_to_end_on_sigterm": {"median": statistics.median(term or [0.0]), "most": max(term, default=0.0)},
        "seconds_of_a_start": statistics.median(life.started for life in lives if life.started is not None),
        "cpu_seconds_per_step": {"alone": stepping(alone.cpu), "with_saves_and_evaluations": everything},
        "memory": growth(alone.memory, steps),
    }


def failures(found: Mapping[str, Any], identical: Mapping[str, bool], least: int) -> list[str]:
    """What the soak was to show and did not."""
    lost, survived, grown = found["most_steps_lost"], found["kills_survived"], found["memory"]["growth"]
    return [
        *(f"{name}: not the same" for name, holds in identical.items() if not holds),
        *([f"{lost} steps lost at once, must be at most {INTERVAL}"] if lost > INTERVAL else []),
        *([f"{survived} kills, must be at least {least}"] if survived < least else []),
        *([f"memory grew by {grown:.1%}, must be at most {MOST_GROWTH:.0%}"] if grown > MOST_GROWTH else []),
    ]


def main() -> None:
    """Soak, print, write outputs/bench/soak.json (see --out); exit code 1 where something did not hold."""
    from benchmarks.machine import machine
    from mollm_cli.launch.provenance import git_commit

    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--steps", type=int, default=2000)
    given.add_argument("--kills", type=int, default=55, help="planned; those that are due after the end do not count")
    given.add_argument("--least", type=int, default=50, help="kills without which the soak has failed")
    given.add_argument("--seed", type=int, default=0)
    given.add_argument("--out", type=Path, default=Path("outputs/bench/soak.json"))
    asked = given.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = small_model(folder / "model")
        command = ["-m", "mollm_cli", "resume=auto", f"model.path={model}", f"engine.max_steps={asked.steps}", *LINE]
        alone = lived(command, folder / "alone", (), folder, 0.0)[0]
        kills = planned(asked.kills, asked.steps, asked.seed)
        lives = lived(command, folder / "killed", kills, folder, alone.started or 1.0)
        identical = same(folder / "alone", folder / "killed")
    told = rows(kills, lives)
    found = summary(told, alone, lives, asked.steps)
    problems = failures(found, identical, asked.least)
    result = {"machine": machine("cpu"), "commit": git_commit(), "seconds": time.monotonic() - began, "rows": told}
    write(result | {"summary": found, "identical": identical, "problems": problems, "ratios": {}}, asked.out)
    show_grid("Soak", ("figure", "value"), [(key, json.dumps(value)) for key, value in (found | identical).items()])
    if problems:
        raise SystemExit("; ".join(problems))


if __name__ == "__main__":
    main()
