"""Where a step's time goes: `python -m benchmarks.profile [--row mollm] [--size 25m] [--steps 5]`, torch's profiler."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.rows import ROWS
from benchmarks.workload import SHAPES, Workload


def operations(row: str, workload: Workload, steps: int) -> str:
    """The ten most expensive operations of ``steps`` steps, by their own time, as a table."""
    (chosen,) = [candidate for candidate in ROWS if candidate.name == row]
    contender = chosen.build(workload)
    contender.step(workload.batches(0))
    cuda = workload.device.startswith("cuda")
    with profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda) as profiler:
        for turn in range(1, steps + 1):
            contender.step(workload.batches(turn))
    key = f"self_{'device' if cuda else 'cpu'}_time_total"
    return str(profiler.key_averages().table(sort_by=key, row_limit=10, max_name_column_width=48))


def main(given: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--row", choices=[row.name for row in ROWS], default="mollm")
    parser.add_argument("--size", choices=SHAPES, default="25m")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=5)
    chosen = parser.parse_args(given)
    torch.set_num_threads(1)
    precision = "bf16" if chosen.device.startswith("cuda") else "float32"
    print(operations(chosen.row, Workload(chosen.size, device=chosen.device, precision=precision), chosen.steps))


if __name__ == "__main__":
    main()
