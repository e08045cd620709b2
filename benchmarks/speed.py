"""Step time and peak memory of every row, interleaved: `python -m benchmarks.speed` (`make bench`).

In every round each row takes one step on the same fresh batch, in an order that rotates, so that what else the machine
does hits all rows alike; minimum and median are reported. Then each row's peak memory, in a process of its own.
--scaling tells instead how a step's cost grows, see benchmarks/growth.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.contender import Row
from benchmarks.growth import measure_growth, show_growth
from benchmarks.machine import machine, matmul_flops
from benchmarks.memory import peak_bytes, peak_bytes_alone
from benchmarks.report import merge, ratios, show, summary, write
from benchmarks.rows import RATIOS, ROWS
from benchmarks.shapes import SHAPES
from benchmarks.timing import executed_flops, forward_flops, interleaved, turns, work
from benchmarks.workload import PRECISIONS, Workload
from mollm_cli.launch.provenance import git_commit


def timed(rows: Sequence[Row], workload: Workload, rounds: int, peak: float) -> tuple[list[dict[str, Any]], int]:
    """(a line per row, without memory; the parameters of the model)."""
    ready = [row for row in rows if row.missing is None]
    contenders = {row.name: row.build(workload, turns(row, rounds)) for row in ready}
    periods = {row.name: row.period for row in ready}
    executed = {name: executed_flops(contender, workload, periods[name]) for name, contender in contenders.items()}
    seconds = interleaved(contenders, periods, workload, rounds)
    model = workload.model()
    forward = forward_flops(model, workload)
    lines: list[dict[str, Any]] = []
    for row in rows:
        line: dict[str, Any] = {"name": row.name, "what": row.what}
        if row.missing is None:
            contender = contenders[row.name]
            tokens = len(contender.roles) * workload.batch * workload.tokens
            flops = {"executed": executed[row.name]} | work(contender, forward)
            line |= summary(seconds[row.name], tokens, flops, peak)
        else:
            line["skipped"] = row.missing
        lines.append(line)
    return lines, sum(p.numel() for p in model.parameters())


def measure(rows: Sequence[Row], workload: Workload, rounds: int) -> dict[str, Any]:
    """Everything that speed.json holds of a table, but for memory."""
    facts, peak = machine(workload.device), matmul_flops(workload)
    lines, parameters = timed(rows, workload, rounds, peak)
    return {
        "machine": facts | {"matmul_flops_per_second": peak},
        "commit": git_commit(),
        "workload": asdict(workload) | {"parameters": parameters},
        "rounds": rounds,
        "rows": lines,
        "ratios": ratios(lines, RATIOS),
    }


def add_memory(result: dict[str, Any], rows: Sequence[Row], workload: Workload) -> None:
    """Put the peak of each row, and the ratios of peaks, into what ``measure`` gave."""
    for row, line in zip(rows, result["rows"], strict=True):
        if row.missing is None:
            line["peak_memory_bytes"] = (peak_bytes if workload.cuda else peak_bytes_alone)(row, workload)
    result["ratios"] = ratios(result["rows"], RATIOS)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; unknown rows and impossible sizes end with exit code 2."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--precision", choices=PRECISIONS, help="default: float32 on cpu, bf16 weights on cuda")
    parser.add_argument("--size", choices=SHAPES, default="25m", help="parameters of the model")
    parser.add_argument("--tokens", type=int, default=192, help="tokens of a row")
    parser.add_argument("--answer", type=int, default=48, help="how many of them are targets")
    parser.add_argument("--batch", type=int, default=4, help="rows per role")
    parser.add_argument("--rounds", type=int, help="default: 10; with --scaling 2")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--rows", default=",".join(names), help=f"some of {','.join(names)}")
    parser.add_argument("--no-memory", action="store_true", help="leave out peak memory, a process per row")
    parser.add_argument("--scaling", action="store_true", help="growth with n, T, V and m, put beside the table")
    parser.add_argument("--small", action="store_true", help="--scaling on models for a test")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench/speed.json"))
    chosen = parser.parse_args(given)
    wanted = chosen.rows.split(",")
    unknown = [name for name in wanted if name not in names]
    if unknown:
        parser.error(f"--rows: no row '{unknown[0]}'; rows: {', '.join(names)}")
    if chosen.rounds is None:
        chosen.rounds = 2 if chosen.scaling else 10
    if chosen.rounds < 1:
        parser.error(f"--rounds must be at least 1, found {chosen.rounds}")
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error(f"--device {chosen.device}: torch {torch.__version__} sees no CUDA device here; use --device cpu")
    chosen.rows = [row for row in ROWS if row.name in wanted]
    precision = chosen.precision or ("bf16" if chosen.device.startswith("cuda") else "float32")
    try:
        chosen.workload = Workload(chosen.size, chosen.batch, chosen.tokens, chosen.answer, chosen.device, precision)
    except ValueError as error:
        parser.error(str(error))
    return chosen


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    chosen = arguments(given)
    torch.set_num_threads(chosen.threads)
    if chosen.scaling:
        facts = {"machine": machine(chosen.device), "commit": git_commit(), "rounds": chosen.rounds}
        cells = measure_growth(chosen.device, chosen.workload.precision, chosen.rounds, chosen.small)
        show_growth(cells)
        merge(chosen.out, "growth", facts | {"cells": cells}, {})
    else:
        result = measure(chosen.rows, chosen.workload, chosen.rounds)
        write(result, chosen.out)
        if not chosen.no_memory:
            add_memory(result, chosen.rows, chosen.workload)
            write(result, chosen.out)
        show(result["rows"], result["ratios"], f"One step, {chosen.rounds} interleaved rounds")
    print(chosen.out)


if __name__ == "__main__":
    main()
