"""Steps on a GPU: `python -m benchmarks.gpu` (`make bench-gpu`), about eight minutes on an H100.

First the table of benchmarks.speed, in bfloat16. Then models of the published sizes with random weights: one row at a
time, because two would not fit beside each other, full-parameter and LoRA. A row that does not fit says so.
"""

from __future__ import annotations

import argparse
import gc
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.contender import Row, engine
from benchmarks.machine import machine, matmul_flops
from benchmarks.memory import peak_on_cpu, peak_on_cuda
from benchmarks.report import ratios, show, show_grid, summary, write
from benchmarks.rows import RATIOS, ROWS, SKETCH
from benchmarks.speed import add_memory, measure
from benchmarks.timing import WARM_UP, forward_flops, one_turn, turns, work
from benchmarks.workload import Workload
from mollm_cli.launch.provenance import git_commit
from mollm_cli.losses.mollm import mollm
from mollm_cli.optimizers.eight_bit import AdamW8bit
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA


def _eight_bit(paged: bool) -> Any:
    return engine(mollm, DualSpaceMGDA, direction=SKETCH, optimizer=AdamW8bit(paged=paged))


GPU_ROWS = (
    *ROWS,
    Row("mollm_compile", "mollm, engine.compile=true", engine(mollm, DualSpaceMGDA, compiled=True)),
    Row("mollm_sketch_8bit", "mollm_sketch, adamw_8bit", _eight_bit(paged=False), requires="bitsandbytes"),
    Row("mollm_sketch_paged", "mollm_sketch, paged_adamw_8bit", _eight_bit(paged=True), requires="bitsandbytes"),
)
LORA = ("ga_kl_lora", "mollm_lora")
FULL = ("ga_kl", "mollm", "mollm_unlogged", "mollm_sketch", "mollm_refresh4", "fill_cache", "plain_ga_kl", *LORA)
LARGE = ("ga_kl", "mollm", "mollm_sketch", "mollm_sketch_8bit", "mollm_sketch_paged", *LORA)


@dataclass(frozen=True, slots=True)
class Case:
    """Rows on one model; ``batch`` rows per role of ``tokens`` tokens, half of them answer."""

    size: str
    batch: int
    tokens: int
    rows: tuple[str, ...]
    checkpointing: bool = False


CASES = (
    Case("opt-1.3b", 8, 1024, (*FULL, "mollm_compile")),
    Case("llama-3.2-1b", 8, 1024, FULL),
    Case("llama-3-8b", 4, 512, LARGE, checkpointing=True),
)


def alone(row: Row, workload: Workload, rounds: int, peak_flops: float) -> dict[str, Any]:
    """A line: seconds, shares, and peak memory, in all and above model and optimizer; or why there is none."""
    line: dict[str, Any] = {"name": row.name, "what": row.what}
    if row.missing is not None:
        return line | {"skipped": row.missing}
    try:
        line |= _measured(row, workload, rounds, peak_flops)
    except torch.OutOfMemoryError as problem:
        line["skipped"] = f"does not fit: {str(problem).split('. ')[0]}"
    gc.collect()
    if workload.cuda:
        torch.cuda.empty_cache()
    return line


def _measured(row: Row, workload: Workload, rounds: int, peak_flops: float) -> dict[str, Any]:
    contender = row.build(workload, turns(row, rounds + 1))
    for turn in range(WARM_UP):
        one_turn(contender, workload, turn, row.period)
    seconds = [one_turn(contender, workload, WARM_UP + turn, row.period) for turn in range(rounds)]
    above = (peak_on_cuda if workload.cuda else peak_on_cpu)(
        lambda: one_turn(contender, workload, WARM_UP + rounds, row.period)
    )
    tokens = len(contender.roles) * workload.batch * workload.tokens
    found = summary(seconds, tokens, work(contender, forward_flops(contender.model, workload)), peak_flops)
    total = torch.cuda.max_memory_allocated() if workload.cuda else None
    return found | {"peak_memory_bytes": contender.reference_bytes + above, "peak_total_bytes": total}


def large(case: Case, device: str, precision: str, rounds: int, small: bool) -> dict[str, Any]:
    """The lines of a case."""
    answer = case.tokens // 2
    workload = Workload(case.size, case.batch, case.tokens, answer, device, precision, None, case.checkpointing, small)
    if small:
        workload = replace(workload, batch=2, tokens=12, answer=6)
    peak = matmul_flops(workload)
    rows = [row for row in GPU_ROWS if row.name in case.rows]
    lines = []
    for row in rows:
        lines.append(alone(row, workload, rounds, peak) | {"model": case.size})
        print(f"{case.size} {row.name}: {_short(lines[-1])}", flush=True)
    found = {f"{case.size}:{key}": value for key, value in ratios(lines, (*RATIOS, ("mollm_compile", "mollm"))).items()}
    return {"workload": asdict(workload), "matmul_flops_per_second": peak, "rows": lines, "ratios": found}


def _short(line: dict[str, Any]) -> str:
    return line["skipped"] if "skipped" in line else f"{line['minimum_seconds']:.3f} s"


def show_large(lines: Sequence[dict[str, Any]]) -> None:
    """Print the rows of the published sizes. GiB: the peak in all, and above model and optimizer."""
    table = []
    for line in lines:
        if "skipped" in line:
            table.append([line["model"], line["name"], line["skipped"]])
            continue
        total = line["peak_total_bytes"]
        sizes = ["" if size is None else f"{size / 2**30:.2f}" for size in (total, line["peak_memory_bytes"])]
        shares = [f"{line[kind]:.0%}" for kind in ("useful_share", "plain_share")]
        seconds = f"{statistics.median(line['seconds']):.3f}"
        table.append([line["model"], line["name"], seconds, f"{line['tokens_per_second']:.0f}", *shares, *sizes])
    headings = ("model", "row", "median s", "tokens/s", "useful", "plain", "GiB", "above")
    show_grid("Published sizes, random weights", headings, table)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; unknown models end with exit code 2."""
    names = [case.size for case in CASES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", default=",".join(names), help=f"some of {','.join(names)}, or none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="the same on models for a test, also with --device cpu")
    parser.add_argument("--no-table", action="store_true", help="leave out the table of the 25 M model")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench/gpu.json"))
    chosen = parser.parse_args(given)
    wanted = [] if chosen.models == "none" else chosen.models.split(",")
    unknown = [name for name in wanted if name not in names]
    if unknown:
        parser.error(f"--models: no model '{unknown[0]}'; models: {', '.join(names)}, none")
    if chosen.rounds < 1:
        parser.error(f"--rounds must be at least 1, found {chosen.rounds}")
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error(f"--device {chosen.device}: torch {torch.__version__} sees no CUDA device here; use make bench")
    chosen.cases = [case for case in CASES if case.size in wanted]
    return chosen


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print and write, case by case: what was measured is kept where a later one ends in an error."""
    chosen = arguments(given)
    precision = "bf16" if chosen.device.startswith("cuda") else "float32"
    result: dict[str, Any] = {"machine": machine(chosen.device), "commit": git_commit(), "rounds": chosen.rounds}
    result |= {"rows": [], "ratios": {}, "cases": {}}
    table = Workload("tiny" if chosen.small else "25m", device=chosen.device, precision=precision)
    if not chosen.no_table:
        found = measure(ROWS, table, chosen.rounds)
        add_memory(found, ROWS, table)
        result["rows"] += [line | {"model": table.size} for line in found["rows"]]
        result["ratios"] |= found["ratios"]
        write(result, chosen.out)
        show(found["rows"], found["ratios"], f"{table.size}: one step, {chosen.rounds} interleaved rounds")
    for case in chosen.cases:
        found = large(case, chosen.device, precision, chosen.rounds, chosen.small)
        result["rows"] += found.pop("rows")
        result["ratios"] |= found["ratios"]
        result["cases"][case.size] = found
        write(result, chosen.out)
    show_large([line for line in result["rows"] if line["model"] != table.size])
    print(chosen.out)


if __name__ == "__main__":
    main()
