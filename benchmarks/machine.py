"""What the numbers were measured on, and how fast it multiplies matrices."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.workload import Workload


def machine(device: str) -> dict[str, Any]:
    """Processor, cores, threads, versions, load; on CUDA the card."""
    import transformers

    facts: dict[str, Any] = {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": device,
        "clock": "processor" if _of_one_thread(device) else "wall",
    }
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        facts |= {"gpu": properties.name, "gpu_memory_bytes": properties.total_memory, "cuda": torch.version.cuda}
    return facts


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def now(device: str) -> float:
    """Seconds: of processor where one thread of a CPU does all the work, which other work leaves alone; else wall."""
    return time.process_time() if _of_one_thread(device) else time.perf_counter()


def _of_one_thread(device: str) -> bool:
    return not device.startswith("cuda") and torch.get_num_threads() == 1


def synchronize(device: str) -> None:
    """Wait for the device; on a CPU there is nothing to wait for."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def matmul_flops(workload: Workload, repeats: int = 5) -> float:
    """The best measured rate of a large square matrix product in the type that the workload computes in, flop/s."""
    n = 8192 if workload.device.startswith("cuda") else 1024
    dtype = torch.float32 if workload.precision == "float32" else torch.bfloat16
    a, b = (torch.randn(n, n, device=workload.device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(repeats + 1):
        synchronize(workload.device)
        began = now(workload.device)
        for _ in range(4):
            a @ b
        synchronize(workload.device)
        best = min(best, now(workload.device) - began)
    return 4 * 2 * n**3 / best
