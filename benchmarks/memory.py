"""The peak memory of one step above model and optimizer, each row in a process of its own.

On CUDA: torch.cuda.max_memory_allocated above what was allocated before the step. On CPU: torch's profiler reports
every allocation and release of torch's CPU allocator, and their running sum repeats. The resident set size does not:
the C library's heap keeps holes (100 to 550 MiB more at 25 M parameters). Where it keeps none, with glibc's
MALLOC_MMAP_THRESHOLD_=32768, the two agree to 0.3 %. The frozen reference is added: it is neither model nor optimizer.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

from benchmarks.alone import alone
from benchmarks.contender import Row
from benchmarks.rows import ROWS
from benchmarks.workload import Workload


def peak_on_cpu(step: Callable[[], object]) -> int:
    """The highest running sum of bytes that ``step`` allocates; what it frees of earlier times does not count."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = step()
    del kept
    events = profiler.profiler.kineto_results.events()
    allocations = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    current = peak = 0
    for _, size in allocations:
        current += size
        peak = max(peak, current)
    return peak


def peak_on_cuda(step: Callable[[], object]) -> int:
    """The highest number of allocated bytes during ``step`` above those before it."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def peak_bytes(row: Row, workload: Workload) -> int:
    """Reference plus the peak of the steps after the first ones, which make the optimizer's state."""
    contender = row.build(workload, 2 * row.period)
    for turn in range(row.period):
        contender.step(workload.batches(turn))
    contender.optimizer.zero_grad(set_to_none=True)
    batches = [workload.batches(row.period + k) for k in range(row.period)]
    gc.collect()

    def steps() -> None:
        for each in batches:
            contender.step(each)

    return contender.reference_bytes + (peak_on_cuda if workload.cuda else peak_on_cpu)(steps)


def peak_bytes_of(name: str, workload: Workload) -> int:
    """peak_bytes of the row ``name``. Raises ValueError where there is none."""
    found = [row for row in ROWS if row.name == name]
    if not found:
        raise ValueError(f"no row '{name}'; rows: {', '.join(row.name for row in ROWS)}")
    return peak_bytes(found[0], workload)


def peak_bytes_alone(row: Row, workload: Workload) -> int:
    """peak_bytes in a process of its own. Raises RuntimeError where that fails, with the reason."""
    try:
        return alone(peak_bytes_of, row.name, workload)
    except Exception as error:
        raise RuntimeError(f"the memory of row '{row.name}' could not be measured: {error}") from error
