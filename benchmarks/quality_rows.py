"""The rows of docs/benchmarks/quality.json: appended as they come, keyed by settings and code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mollm_cli
from benchmarks.quality_run import composed, overrides
from benchmarks.quality_tasks import SHARED, TUNING_SEED, Contender, Task

Row = dict[str, Any]
VERSION = 1
"""Raised whenever the same run would be looked at, matched or measured otherwise."""
SOURCES = ("core", "data", "engine", "gradients", "models", "objectives", "solvers/simplex.py")
"""What every run's numbers depend on, beside the files of its loss and its solver."""
NODES = ("model", "data", "optimizer", "engine", "direction", "solver", "loss")


def code_version(loss: str, solver: str, package: Path | None = None) -> str:
    """A hash of the sources that a run goes through whose ``_target_`` of loss and solver are these."""
    root = package or Path(mollm_cli.__file__).parent
    own = ("/".join(target.split(".")[1:-1]) + ".py" for target in (loss, solver))
    places = [root / name for name in (*SOURCES, *own)]
    files = sorted(file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place]))
    state = hashlib.sha256(f"{VERSION}".encode())
    for file in files:
        state.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    return state.hexdigest()[:12]


def versions(task: Task, contender: Contender) -> dict[str, str]:
    """{"settings", "code"}: hashes of what is asked (seed and learning rate apart) and of what answers."""
    config = composed(overrides(task, contender, TUNING_SEED, task.learning_rate))
    looking = [task.every, task.rows, task.sets, dict(task.axes), task.oracle]
    text = json.dumps([{key: config[key] for key in NODES}, looking], sort_keys=True, default=str)
    settings = hashlib.sha256(text.replace(str(SHARED), "SHARED").encode()).hexdigest()[:12]
    return {"settings": settings, "code": code_version(config["loss"]["_target_"], config["solver"]["_target_"])}


def key(row: Mapping[str, Any], any_code: bool = False) -> tuple[Any, ...]:
    """What makes two runs the same run; any_code: whatever sources made them."""
    names = ("task", "loss", "seed", "learning_rate", "settings", *(() if any_code else ("code",)))
    return tuple(row.get(name) for name in names)


def read(path: Path) -> dict[str, Any]:
    """The file, or an empty one."""
    empty: dict[str, Any] = {"rows": [], "oracles": []}
    return empty | (json.loads(path.read_text(encoding="utf-8")) if path.exists() else {})


def append(path: Path, facts: Mapping[str, Any], name: str, rows: Sequence[Row]) -> None:
    """Add ``rows`` under ``name`` by a rename: a run that is cut off loses nothing that was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {**facts, **read(path)} | dict(facts)
    whole[name] = [*whole[name], *rows]
    written = path.with_suffix(".part")
    head = {k: v for k, v in whole.items() if not isinstance(v, list)}
    lists = (f'  "{k}": [\n' + ",\n".join(f"    {json.dumps(r)}" for r in v) + "\n  ]"
             for k, v in whole.items() if isinstance(v, list))  # fmt: skip
    written.write_text(
        "{\n" + ",\n".join([*(f'  "{k}": {json.dumps(v)}' for k, v in head.items()), *lists]) + "\n}\n",
        encoding="utf-8",
    )
    written.replace(path)


def best_rate(rows: Sequence[Row], task: Task, loss: str) -> float | None:
    """The learning rate of the tuning seed that reached most axes, then kept most, then forgot most; None: no rows.

    Kept: the mean of the compared column over the axes that were reached. Ties go to the lower rate.
    """
    tuning = [r for r in rows if (r["task"], r["loss"], r["seed"]) == (task.name, loss, TUNING_SEED)]
    rates = sorted({float(row["learning_rate"]) for row in tuning})

    def merit(rate: float) -> tuple[float, ...]:
        mine = [row for row in tuning if row["learning_rate"] == rate]
        there = [row[task.compared] * (1 if task.higher else -1) for row in mine if row["reached"]]
        kept = sum(there) / len(there) if there else 0.0
        return len(there), kept, -min(row["forget_probability"] for row in mine), -rate

    return max(rates, key=merit, default=None)
