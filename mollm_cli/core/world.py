"""The processes of one run: which of them this is, and what they tell each other. Numbers and JSON, never an object.

Every method is a collective: all processes call it, in the same order. With one process each is the identity.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.errors import RequestError

if TYPE_CHECKING:
    import torch

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""The environment that says who takes part; torchrun, accelerate launch and our own spawner set it."""


@dataclass(frozen=True, slots=True)
class World:
    """Process ``rank`` of ``size``, ``local_rank`` of those on its machine; device: on which its collectives run."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """True if this process is the one that writes."""
        return self.rank == 0

    def sum_(self, tensor: torch.Tensor) -> torch.Tensor:
        """``tensor`` itself, with the sum over all processes in it: the same bits on each. It must be contiguous."""
        if self.size > 1:
            import torch.distributed as dist

            dist.all_reduce(tensor)
        return tensor

    def begin_sum(self, tensor: torch.Tensor) -> Callable[[], None]:
        """Begin ``sum_``, which has ended when what is returned has been called; ``tensor`` is not touched before."""
        if self.size == 1:
            return lambda: None
        import torch.distributed as dist

        work: Any = dist.all_reduce(tensor, async_op=True)
        return lambda: work.wait()

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of float64 ``values`` over all processes, the same bits on each."""
        if self.size == 1:
            return values
        import torch

        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        found: NDArray[np.float64] = self.sum_(total).cpu().numpy()
        return found

    def everyones(self, value: Any) -> list[Any]:
        """The JSON ``value`` of every process, in the order of ranks."""
        if self.size == 1:
            return [value]
        import torch
        import torch.distributed as dist

        text = json.dumps(value).encode()
        lengths = torch.zeros(self.size, dtype=torch.int64, device=self.device)
        lengths[self.rank] = len(text)
        dist.all_reduce(lengths)
        sizes: list[int] = lengths.tolist()
        own = torch.zeros(max(sizes), dtype=torch.uint8)
        own[: len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        texts = [torch.empty(max(sizes), dtype=torch.uint8, device=self.device) for _ in sizes]
        dist.all_gather(texts, own.to(self.device))
        return [json.loads(x.cpu().numpy().tobytes()[:size]) for x, size in zip(texts, sizes, strict=True)]

    def from_first(self, value: Any) -> Any:
        """The JSON ``value`` of rank 0; what the others give does not matter."""
        return self.everyones(value if self.first else None)[0]

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            import torch.distributed as dist

            dist.barrier()


ALONE = World()
"""The one process of a run that has no other."""


def join(timeout_seconds: float, kind: Literal["cpu", "cuda"] = "cpu") -> World:
    """Meet the processes that the environment names, over gloo, on GPUs over NCCL, one GPU each; ``ALONE`` if 1.

    timeout_seconds: after which a collective that some process does not come to fails. Raises RequestError where the
    environment is half there.
    """
    size = _number("WORLD_SIZE", "1")
    if size == 1:
        return ALONE
    missing = [name for name in NAMES if name not in os.environ]
    if missing:
        raise RequestError(
            f"a run of {size} processes must find {', '.join(NAMES)} in its environment, found no "
            f"{', '.join(missing)}; start it with engine.processes=N, torchrun or accelerate launch"
        )
    import torch
    import torch.distributed as dist

    rank, local_rank = _number("RANK"), _number("LOCAL_RANK")
    if kind == "cuda":
        torch.cuda.set_device(local_rank)
    device = f"cuda:{local_rank}" if kind == "cuda" else "cpu"
    backend = "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=timeout_seconds))
    return World(rank, size, local_rank, device)


@contextmanager
def after_first(world: World) -> Iterator[None]:
    """The block, on rank 0 first: the others find what it has left in caches. All processes come to it."""
    if not world.first:
        world.barrier()
    yield
    if world.first:
        world.barrier()


def on_this_machine() -> int:
    """The number of the run's processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("WORLD_SIZE", "1")))


def leave(world: World) -> None:
    """Take no further part."""
    if world.size > 1:
        import torch.distributed as dist

        dist.destroy_process_group()


def _number(name: str, default: str = "") -> int:
    found = os.environ.get(name, default)
    if not found.isdecimal():
        raise RequestError(f"{name} in the environment must be a number >= 0, found '{found}'; unset it")
    return int(found)
