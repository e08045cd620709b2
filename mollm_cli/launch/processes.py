"""The number of processes of a run: the request held against what has been started."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mollm_cli.core.errors import RequestError

if TYPE_CHECKING:
    from mollm_cli.configuration.request import Request

STARTED_BY_ACCELERATE = "ACCELERATE_MIXED_PRECISION"
"""In the environment of whatever ``accelerate launch`` starts."""


def launched() -> tuple[int, int] | None:
    """(rank, number of processes) where torchrun, accelerate launch or our own spawner has started this process.

    Raises RequestError where the environment does not say it in numbers.
    """
    if "WORLD_SIZE" not in os.environ:
        return None
    rank, size = os.environ.get("RANK", "0"), os.environ["WORLD_SIZE"]
    if not (rank.isdecimal() and size.isdecimal() and int(rank) < int(size)):
        raise RequestError(
            f"RANK must be a number below WORLD_SIZE in the environment, found RANK={rank}, WORLD_SIZE={size}; unset "
            "them, or start the run with torchrun"
        )
    return int(rank), int(size)


def follows() -> bool:
    """True if this process obeys rank 0, which reads the command line for all."""
    place = launched()
    return place is not None and place[0] > 0


def to_start(asked: Request) -> int:
    """The number of processes to start for a run; 1 if it runs in this one, alone or with those that are there.

    Raises RequestError where a launcher has started another number than was asked for.
    """
    from mollm_cli.configuration.request import TrainRequest

    engine = asked.engine if isinstance(asked, TrainRequest) else None
    wanted, parallel = (None, "auto") if engine is None else (engine.processes, engine.parallel)
    place = launched()
    size = _without_launcher(wanted) if place is None else place[1]
    if wanted is not None and wanted != size:
        raise RequestError(
            f"engine.processes={wanted} must be how many processes the launcher starts, found {size}; start "
            f"{wanted} (torchrun --nproc-per-node {wanted}), or leave engine.processes out"
        )
    if parallel == "none" and size > 1:
        raise RequestError(
            f"engine.parallel=none is for one process, found {size}; set engine.parallel=auto, ddp or fsdp"
        )
    if parallel in ("ddp", "fsdp") and size == 1:
        raise RequestError(
            f"engine.parallel={parallel} is for several processes, found one; set engine.processes=N, start the run "
            "with torchrun, or set engine.parallel=auto"
        )
    return size if place is None else 1


def _without_launcher(wanted: int | None) -> int:
    """accelerate launch says nothing of ranks where it starts one process: on CPUs whatever it was asked for."""
    if STARTED_BY_ACCELERATE not in os.environ:
        return wanted or 1
    if "MASTER_PORT" in os.environ:
        raise RequestError(
            "accelerate launch must start as many processes as it was asked for, found one, as it does on CPUs; add "
            "--multi_gpu to its flags (on CPUs too), or use torchrun or engine.processes=N"
        )
    return 1
