"""How much oracles differ by their seed: the band within which forgetting is matched anyway."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.quality_run import yardstick
from benchmarks.quality_tasks import Task

RECIPE = (
    "model.weights=random", "train=[retain,text]", "optimizer.lr=2e-3", "optimizer.schedule=cosine",
    "optimizer.warmup_steps=20", "engine.batch_size=32", "engine.max_steps=450", "engine.evaluate_every=null",
    "evaluation.oracle=null", "evaluation.limit=1", "evaluation.generate_tokens=1",
)  # fmt: skip
"""embedded/build.sh, with another seed for weights and order."""


def oracle(task: Task, seed: int) -> dict[str, Any]:
    """A row: an oracle of the embedded architecture, made from ``seed`` on the rows that are not to be forgotten.

    Raises RuntimeError where mollm-finetune fails.
    """
    command = "from mollm_cli.cli import finetune; finetune()"
    with tempfile.TemporaryDirectory() as root:
        typed = [*RECIPE, f"seed={seed}", f"output_root={root}"]
        environment = os.environ | {"HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", command, *typed], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"the oracle of seed {seed} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
        values = yardstick(task, str(Path(done.stdout.strip()) / "checkpoint")).values
    return {"task": task.name, "seed": seed, **values}


def band(rows: Sequence[dict[str, Any]], task: Task) -> str:
    """The lowest and the highest value of each axis, over oracles of several seeds; "" where there is none."""
    mine = [row for row in rows if row["task"] == task.name]
    parts = []
    for axis in task.axes:
        values = [row[axis] for row in mine if axis in row]
        if values:
            parts.append(f"{axis.replace('_', ' ')} {min(values):.3f} to {max(values):.3f}")
    return f"{len(mine)} oracles: {'; '.join(parts)}" if parts else ""
