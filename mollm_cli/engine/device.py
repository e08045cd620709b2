"""The device of a run, and the precision of its matrix products."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.core.world import World, on_this_machine
from mollm_cli.engine.engine_settings import Engine

ALLOCATOR = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
"""The environment variables that torch's CUDA allocator reads: the name since 2.9, and the one before."""


def pick(wanted: str) -> torch.device:
    """``auto``: CUDA, else Apple's MPS, else the CPU. Raises RequestError for a device that is not there.

    On CUDA the allocator is told to grow its segments, unless the environment already tells it something.
    """
    device = _found(wanted)
    # Batches of many lengths leave holes between segments of fixed size.
    if device.type == "cuda" and not any(name in os.environ for name in ALLOCATOR):
        os.environ |= dict.fromkeys(ALLOCATOR, "expandable_segments:True")
    return device


def _found(wanted: str) -> torch.device:
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind = wanted.split(":")[0]
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present[kind]:
        there = ", ".join(k for k, v in present.items() if v)
        raise RequestError(f"engine.device={wanted}: this machine has {there}. Set engine.device=auto.")
    return torch.device(wanted)


@contextmanager
def matmul_precision(engine: Engine) -> Iterator[None]:
    """Within the block, products of float32 matrices are as exact as ``engine.matmul`` asks for."""
    before = torch.get_float32_matmul_precision()
    automatic = "high" if engine.precision == "bf16" else before
    torch.set_float32_matmul_precision(automatic if engine.matmul == "auto" else engine.matmul)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def give_memory_back() -> None:
    """Let the machine have what malloc keeps of freed tensors: half a model and more, in pieces that nothing fits into.

    Of glibc; other allocators do it by themselves, or do not.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory used so far: allocated on a CUDA device, resident in the process elsewhere."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage tells what the process before exec had resident, too: that of whoever started it
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, KiB on Linux


def device_of(world: World, device: torch.device) -> torch.device:
    """The device of this process where a run is on ``device``. Raises RequestError where a machine has too few."""
    if world.size == 1 or device.type != "cuda":
        return device
    here, there = on_this_machine(), torch.cuda.device_count()
    if here > there:
        raise RequestError(
            f"each process must have a GPU of its own, found {there} for {here} processes on one machine; start as "
            "many as there are GPUs, or set engine.device=cpu"
        )
    return torch.device("cuda", world.local_rank)
