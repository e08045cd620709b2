"""Plans against the runs that they foretell: `python -m benchmarks.plan [--model FOLDER] [--rows mollm,lora]`.

Per row: seconds of ``--plan`` and the peak that it says, and the peak of the run, resident on a CPU or reserved on
a card, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.report import write
from mollm_cli.launch.provenance import git_commit

ROWS = {
    "mollm": (),
    "ga_kl": ("loss=ga_kl",),
    "sketch": ("direction.gram=sketch",),
    "lora": ("model.adapter=lora",),
    "bfloat16": ("model.dtype=bfloat16",),
    "bf16": ("engine.precision=bf16",),
    "pieces": ("engine.micro_batch=1",),
}
"""What is typed for each row."""
SHORT = (
    "engine.max_steps=4", "engine.evaluate_every=2", "engine.evaluate_limit=4", "engine.batch_size=4",
    "evaluation.limit=2", "evaluation.generate_tokens=8", "evaluation.batch_size=8", "evaluation.oracle=null",
)  # fmt: skip
"""What keeps a run short; the batches are those that it draws."""


def compared(name: str, model: str, typed: Sequence[str] = ()) -> dict[str, Any]:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        line = [*SHORT, f"model.path={model}", f"output_root={folder}/out", *ROWS[name], *typed]
        began = time.perf_counter()
        plan = json.loads(_said("--plan", *line))
        seconds = time.perf_counter() - began
        manifest = json.loads((Path(_said(*line).strip()) / "manifest.json").read_text(encoding="utf-8"))
    peak = max(plan["phases"], key=lambda phase: phase["bytes"])
    return {
        "name": name,
        "model": Path(model).name,
        "phase": peak["name"],
        "plan_seconds": seconds,
        "planned_bytes": plan["peak_bytes"],
        "measured_bytes": manifest["peak_memory_bytes"],
    }


def _said(*typed: str) -> str:
    line = [sys.executable, "-m", "mollm_cli", *typed]
    return subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Plans and peaks", title_justify="left")
    for heading in ("row", "model", "phase", "plan, s", "planned MiB", "measured MiB", "planned/measured"):
        table.add_column(heading, justify="left" if heading in ("row", "model", "phase") else "right")
    for row in result["rows"]:
        sizes = [f"{row[key] / 2**20:,.0f}" for key in ("planned_bytes", "measured_bytes")]
        ratio = f"{result['ratios'][key_of(row)]:.3f}"
        table.add_row(row["name"], row["model"], row["phase"], f"{row['plan_seconds']:.1f}", *sizes, ratio)
    Console(width=110).print(table)


def key_of(row: dict[str, Any]) -> str:
    """The name of a row's ratio."""
    return f"plan:{row['name']}@{row['model']}"


def main(given: Sequence[str] | None = None) -> None:
    """Plan, run, print the table, write outputs/bench/plan.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan", description=__doc__)
    parser.add_argument("--rows", default=",".join(ROWS), help=f"some of {','.join(ROWS)}")
    parser.add_argument("--model", default="embedded:tiny", help="a folder")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench/plan.json"))
    chosen, typed = parser.parse_known_args(given)
    if unknown := [name for name in chosen.rows.split(",") if name not in ROWS]:
        parser.error(f"--rows: no row '{unknown[0]}'; rows: {', '.join(ROWS)}")
    rows = [compared(name, chosen.model, typed) for name in chosen.rows.split(",")]
    ratios = {key_of(row): row["planned_bytes"] / row["measured_bytes"] for row in rows}
    result = {"machine": machine("cpu"), "commit": git_commit(), "rows": rows, "ratios": ratios}
    show(result)
    write(result, chosen.out)


if __name__ == "__main__":
    main()
