"""The batches of the next step, made by a thread while the model is busy with this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import torch

from mollm_cli.core.types import Batch, Role
from mollm_cli.core.world import ALONE, World


class BatchSource(Protocol):
    """The rows of a role as a pure function of the step."""

    def batches(self, step: int, micro_batch: int | None, rank: int = 0, world: int = 1) -> list[Batch]:
        """The micro-batches of the 0-based ``step`` for process ``rank`` of ``world``, as many as for every other."""
        ...


@contextmanager
def prefetched(
    streams: Mapping[Role, BatchSource],
    micro_batch: int | None,
    device: torch.device,
    first: int,
    last: int,
    world: World = ALONE,
) -> Iterator[Iterator[dict[Role, list[Batch]]]]:
    """Within the block: the batches of the 0-based steps ``first`` to ``last`` - 1, in order, on ``device``.

    micro_batch: rows in one of them; None: all of the step.
    world: the processes that share each batch; this one gets its own rows.

    The thread is one step ahead and no further, and has ended after the block. Whatever a source raises is raised when
    its step is asked for.
    """

    def made(step: int) -> dict[Role, list[Batch]]:
        share = (world.rank, world.size) if world.size > 1 else ()
        batches = {role: stream.batches(step, micro_batch, *share) for role, stream in streams.items()}
        # From pinned memory the copy to the GPU runs beside the computation.
        return _each(pinned, batches) if device.type == "cuda" else batches

    def ahead(pool: ThreadPoolExecutor) -> Iterator[dict[Role, list[Batch]]]:
        waiting = [pool.submit(made, step) for step in range(first, last)[:1]]
        for step in range(first, last):
            ready = waiting.pop().result()
            if step + 1 < last:
                waiting.append(pool.submit(made, step + 1))
            yield _each(lambda batch: batch.to(device), ready)

    elsewhere = device.type == "cuda" and device.index is not None  # a thread starts on the first device
    with ThreadPoolExecutor(1, "batches", partial(torch.cuda.set_device, device) if elsewhere else None) as pool:
        yield ahead(pool)


def pinned(batch: Batch) -> Batch:
    """Move ``batch`` to page-locked memory, from which a GPU copies without the processor."""
    return batch.moved(lambda x: x.pin_memory())


def _each(change: Callable[[Batch], Batch], batches: Mapping[Role, Sequence[Batch]]) -> dict[Role, list[Batch]]:
    return {role: [change(batch) for batch in parts] for role, parts in batches.items()}
