"""Where a step's time goes: `python -m benchmarks.profile [--row mollm] [--size 25m] [--steps 5]` (`make profile`).

torch's profiler: a table, and a trace for chrome://tracing or ui.perfetto.dev.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.rows import ROWS
from benchmarks.shapes import SHAPES
from benchmarks.workload import Workload


def operations(row: str, workload: Workload, steps: int, trace: Path) -> str:
    """The ten most expensive operations of ``steps`` steps, by their own time, as a table; ``trace``: every event."""
    (chosen,) = [candidate for candidate in ROWS if candidate.name == row]
    contender = chosen.build(workload, steps + 1)
    contender.step(workload.batches(0))
    with profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * workload.cuda) as profiler:
        for turn in range(1, steps + 1):
            contender.step(workload.batches(turn))
    trace.parent.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(trace))
    key = f"self_{'device' if workload.cuda else 'cpu'}_time_total"
    return str(profiler.key_averages().table(sort_by=key, row_limit=10, max_name_column_width=48))


def main(given: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__.splitlines()[0])
    parser.add_argument("--row", choices=[row.name for row in ROWS], default="mollm")
    parser.add_argument("--size", choices=SHAPES, default="25m")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--trace", type=Path, default=Path("outputs/bench/profile.json"))
    chosen = parser.parse_args(given)
    torch.set_num_threads(1)
    precision = "bf16" if chosen.device.startswith("cuda") else "float32"
    workload = Workload(chosen.size, device=chosen.device, precision=precision)
    print(operations(chosen.row, workload, chosen.steps, chosen.trace))
    print(chosen.trace)


if __name__ == "__main__":
    main()
