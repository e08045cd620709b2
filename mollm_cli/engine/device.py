"""Where a run computes."""

from __future__ import annotations

import sys

import torch

from mollm_cli.core.errors import RequestError


def pick(wanted: str) -> torch.device:
    """``auto``: CUDA, else Apple's MPS, else the CPU. Raises RequestError for a device that is not there."""
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


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory used so far: allocated on a CUDA device, resident in the process elsewhere."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
