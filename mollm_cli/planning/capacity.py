"""The memory that a device has free for a run."""

from __future__ import annotations

from pathlib import Path

import torch

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> int | None:
    """The bytes that can be allocated on ``device`` now; None if that is not known.

    CUDA: what the driver has free, this process's context taken off. MPS: the driver's recommendation less what is
    taken. CPU: the kernel's MemAvailable, or what the container's limit leaves if that is less.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    found = [bytes_left for bytes_left in (_available(), _container()) if bytes_left is not None]
    return min(found, default=None)


def device_name(device: torch.device) -> str:
    """The card's name, or the kind of device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _available() -> int | None:
    if not MEMINFO.is_file():
        return None
    lines = (line.split() for line in MEMINFO.read_text().splitlines())
    return next((1024 * int(words[1]) for words in lines if words[:1] == ["MemAvailable:"]), None)


def _container() -> int | None:
    """The bytes that a cgroup (version 2) leaves of its limit; None if there is none."""
    limit, used = CGROUP / "memory.max", CGROUP / "memory.current"
    if not (limit.is_file() and used.is_file()) or not limit.read_text().strip().isdigit():
        return None
    return int(limit.read_text()) - int(used.read_text())


def compiles_half() -> bool:
    """True of a processor on which products in bfloat16 are compiled; elsewhere they are made in float32."""
    known = hasattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")
    return known and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
