"""The gradient of all replicas: the sum of everyone's own, in few large collectives that run beside other work.

DDP's own wrapper is not used: its sum belongs to the one backward pass of a step, and here every objective has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from mollm_cli.core.world import World
from mollm_cli.gradients.inner import GradientRow, raised

BUCKET = 2**23
"""Elements per collective: large beside its latency, small beside a gradient."""
ALIGNED = 16
"""Every parameter's part begins at a multiple of this many elements, as memory of its own would."""


class RowSum:
    """The sum of ``row`` over all processes, begun when this is made and there after ``finish``.

    ``row`` is emptied, so that no gradient is in memory twice. Half precision is summed in float32. Where only some
    processes reach a parameter (a mixture's experts), the others count as zero; where none does, it has no entry.
    """

    def __init__(self, world: World, row: GradientRow, parameters: Sequence[torch.nn.Parameter]) -> None:
        self.parameters = parameters
        self.row = row
        self._buckets = [self._begun(world, ks) for ks in _bucketed(parameters)]

    def _begun(self, world: World, ks: Sequence[int]) -> tuple[Sequence[int], torch.Tensor, Callable[[], None]]:
        """A bucket's parameters, their parts in a row with a mark for each that is reached, and the wait."""
        first = self.parameters[ks[0]]
        sizes = [_aligned(self.parameters[k].numel()) for k in ks]
        dtype = torch.float64 if first.dtype == torch.float64 else torch.float32
        flat = torch.zeros(sum(sizes) + len(ks), dtype=dtype, device=first.device)
        at = 0
        for n, (k, size) in enumerate(zip(ks, sizes, strict=True)):
            part, self.row[k] = self.row[k], None
            if part is not None:
                flat[at : at + part.numel()].copy_(raised(part.reshape(-1), first.device), non_blocking=True)
                flat[sum(sizes) + n] = 1.0
            at += size
        return ks, flat, world.begin_sum(flat)

    def finish(self) -> GradientRow:
        """The row, once all of it is there; parts of half precision come in float32."""
        for _, _, wait in self._buckets:
            wait()
        for ks, flat, _ in self._buckets:
            reached = flat[-len(ks) :].tolist()
            at = 0
            for k, there in zip(ks, reached, strict=True):
                parameter = self.parameters[k]
                if there:
                    self.row[k] = flat[at : at + parameter.numel()].view(parameter.shape)
                at += _aligned(parameter.numel())
        self._buckets = []
        return self.row


def _bucketed(parameters: Sequence[torch.nn.Parameter]) -> list[list[int]]:
    """The numbers of ``parameters``, in buckets of at most ``BUCKET`` elements of one type; at least one in each."""
    buckets: list[list[int]] = []
    filled = 0
    for k, parameter in enumerate(parameters):
        size = _aligned(parameter.numel())
        alike = bool(buckets) and parameters[buckets[-1][0]].dtype == parameter.dtype
        if not alike or filled + size > BUCKET:
            buckets.append([])
            filled = 0
        buckets[-1].append(k)
        filled += size
    return buckets


def _aligned(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED
