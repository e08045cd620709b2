"""Step time and peak memory of every row, interleaved: `python -m benchmarks.speed` (`make bench`, `make bench-gpu`).

In every round each row takes one step on the same fresh batch, in an order that rotates, so that what else the machine
does hits all rows alike; minimum and median are reported. Then each row's peak memory, in a process of its own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import machine, matmul_flops, synchronize
from benchmarks.memory import peak_bytes_alone
from benchmarks.report import ratios, show, summary, write
from benchmarks.rows import RATIOS, ROWS, Contender, Row
from benchmarks.workload import PRECISIONS, SHAPES, Workload
from mollm_cli.run.manifest import git_commit

WARM_UP = 2


def one_step(contender: Contender, workload: Workload, turn: int) -> float:
    """Seconds of one step on the batch of ``turn``; its gradients are freed afterwards, to make room for other rows."""
    batches = workload.batches(turn)
    synchronize(workload.device)
    began = time.perf_counter()
    contender.step(batches)
    synchronize(workload.device)
    elapsed = time.perf_counter() - began
    contender.optimizer.zero_grad(set_to_none=True)
    return elapsed


def counted_flops(contender: Contender, workload: Workload) -> int:
    """Floating-point operations of one step's matrix products and attention, as executed."""
    with FlopCounterMode(display=False) as counter:
        one_step(contender, workload, 0)
    return int(counter.get_total_flops())


def interleaved(contenders: Mapping[str, Contender], workload: Workload, rounds: int) -> dict[str, list[float]]:
    """Seconds per row and round, after warm-up."""
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(1, WARM_UP + rounds + 1):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            elapsed = one_step(contenders[name], workload, turn)
            if turn > WARM_UP:
                seconds[name].append(elapsed)
    return seconds


def measure(rows: Sequence[Row], workload: Workload, rounds: int, memory: bool = True) -> dict[str, Any]:
    """Everything that speed.json holds."""
    facts = machine(workload.device)
    peak = matmul_flops(workload)
    contenders = {row.name: row.build(workload) for row in rows if row.missing is None}
    flops = {name: counted_flops(contender, workload) for name, contender in contenders.items()}
    seconds = interleaved(contenders, workload, rounds)
    parameters = sum(p.numel() for c in list(contenders.values())[:1] for p in c.model.parameters())
    tokens = {name: len(c.roles) * workload.batch * workload.tokens for name, c in contenders.items()}
    contenders.clear()
    lines: list[dict[str, Any]] = []
    for row in rows:
        line = {"name": row.name, "what": row.what}
        if row.missing is not None:
            lines.append(line | {"skipped": row.missing})
            continue
        line |= summary(seconds[row.name], tokens[row.name], flops[row.name], peak)
        lines.append(line | ({"peak_memory_bytes": peak_bytes_alone(row, workload)} if memory else {}))
    return {
        "machine": facts | {"matmul_flops_per_second": peak},
        "commit": git_commit(),
        "workload": asdict(workload) | {"parameters": parameters},
        "rounds": rounds,
        "rows": lines,
        "ratios": ratios(lines, RATIOS),
    }


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; unknown rows and impossible sizes end with exit code 2."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--precision", choices=PRECISIONS, help="default: float32 on cpu, bf16 weights on cuda")
    parser.add_argument("--size", choices=SHAPES, default="25m", help="parameters of the Llama")
    parser.add_argument("--tokens", type=int, default=192, help="tokens of a row")
    parser.add_argument("--answer", type=int, default=48, help="how many of them are targets")
    parser.add_argument("--batch", type=int, default=4, help="rows per role")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--rows", default=",".join(names), help=f"some of {','.join(names)}")
    parser.add_argument("--no-memory", action="store_true", help="leave out peak memory, a process per row")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench/speed.json"))
    chosen = parser.parse_args(given)
    wanted = chosen.rows.split(",")
    unknown = [name for name in wanted if name not in names]
    if unknown:
        parser.error(f"--rows: no row '{unknown[0]}'; rows: {', '.join(names)}")
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
    result = measure(chosen.rows, chosen.workload, chosen.rounds, not chosen.no_memory)
    show(result)
    write(result, chosen.out)
    print(chosen.out)


if __name__ == "__main__":
    main()
