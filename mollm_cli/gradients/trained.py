"""The trained parameters as one process works with them: whole, as a replica's are, or only its own shard of each.

A shard is a plain parameter over the memory of FSDP's own (engine.parallel=fsdp). Rows, directions, the optimizer and
its state are made of shards; only inner products, norms and sketches know that there are others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.utils import get_total_norm

from mollm_cli.core.solution import Array
from mollm_cli.core.world import ALONE, World
from mollm_cli.gradients.replicas import RowSum


@dataclass(frozen=True, slots=True)
class Trained:
    """The trained parameters, with this process's part of each.

    names: of the parameters.
    parameters: this process's part of each, which the engine reads and writes.
    whole: the model's own, to whose ``.grad`` a backward pass goes; the same ones where nothing is sharded.
    starts: the place in each flattened parameter where this process's part begins.
    world: the processes that take the step together.
    model: asked for fresh weights after a step; only where it is sharded.
    """

    names: list[str]
    parameters: list[torch.nn.Parameter]
    whole: list[torch.nn.Parameter]
    starts: list[int]
    world: World = ALONE
    sharded: bool = False
    model: Any = None

    @classmethod
    def of(cls, model: Any, world: World = ALONE) -> Trained:
        """The parameters of ``model`` that require a gradient."""
        if hasattr(model, "reshard"):
            model.reshard()  # parameters that are gathered at the moment are not the ones that are trained
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        names, whole = [name for name, _ in named], [p for _, p in named]
        if not any(_is_sharded(p) for p in whole):
            return cls(names, whole, whole, [0] * len(whole), world)
        parts = [_part(p) for p in whole]
        starts = [_start(p, world) for p in whole]
        return cls(names, parts, whole, starts, world, True, model)

    def require_moved_by(self, optimizer: torch.optim.Optimizer) -> None:
        """Raise ValueError where ``optimizer`` holds other parameters: no direction is written to those."""
        ours = {id(p) for p in self.parameters}
        others = sum(id(p) not in ours for group in optimizer.param_groups for p in group["params"])
        if others:
            raise ValueError(
                f"the optimizer must move the parameters that a step works with, found {others} others; build it on "
                "Trained.of(model, world).parameters"
            )

    @property
    def sizes(self) -> list[int]:
        """The elements of each parameter, with all of its shards."""
        return [p.numel() for p in self.whole]

    @property
    def replicated(self) -> bool:
        """True where other processes hold the same parameters."""
        return self.world.size > 1 and not self.sharded

    def collect(self) -> None:
        """After a backward pass, move gradients from the model's parameters into (or onto) ``.grad`` of the parts."""
        if not self.sharded:
            return
        for part, whole in zip(self.parameters, self.whole, strict=True):
            gradient, whole.grad = whole.grad, None  # or the next objective's would be added to it
            if gradient is not None:
                local = gradient.to_local()  # type: ignore[attr-defined]
                part.grad = local if part.grad is None else part.grad.add_(local)

    def settle(self) -> None:
        """After the last backward pass of a step, make ``.grad`` the gradient of all processes' batches."""
        self.collect()
        if self.replicated:
            row = [p.grad for p in self.parameters]
            # ``row`` alone holds the gradients from here on, so the sum can free each as it copies it.
            for p in self.parameters:
                p.grad = None
            for p, part in zip(self.parameters, RowSum(self.world, row, self.parameters).finish(), strict=True):
                p.grad = None if part is None else part.to(p.dtype)

    def sums(self, values: Array) -> Array:
        """Inner products of this process's parts -> those of the whole, the same bits on every process."""
        # Replicas know them already, but their processors may differ in the last bit, and with it in a decision:
        # all of them take the numbers of the first one.
        if self.replicated and not self.world.first:
            values = np.zeros_like(values)
        return self.world.sums(values)

    def norm(self, gradients: Sequence[torch.Tensor]) -> torch.Tensor:
        """|g| of one gradient, of which ``gradients`` are this process's parts, or all of it."""
        own = get_total_norm(gradients) if gradients else torch.zeros(())
        if self.world.size == 1:
            return own
        # A norm adds up in squares, each shard's once; replicas take the first one's (``sums``).
        squares = self.sums(np.array([float(own) ** 2]))
        return torch.tensor(np.sqrt(squares[0]), dtype=own.dtype, device=own.device)

    def sum_sketch(self, totals: torch.Tensor) -> torch.Tensor:
        """Add up the sketches of all parts of a tensor, in place; a replica has all of it already."""
        return self.world.sum_(totals) if self.sharded else totals

    def renew(self) -> None:
        """Let the next forward pass gather the shards anew, since they were written to."""
        if self.sharded:
            self.model.reshard()

    def gathered(self, k: int, part: torch.Tensor) -> torch.Tensor:
        """The tensor of which ``part`` is this process's part, shaped as parameter ``k``; every process calls it."""
        if not self.sharded:
            return part
        full: torch.Tensor = self._shard(k, part).full_tensor()
        return full

    def put_back(self, k: int, part: torch.Tensor | None) -> None:
        """Put ``part`` where the next backward pass adds the gradient of parameter ``k``: one tensor holds both."""
        self.whole[k].grad = self._shard(k, part) if self.sharded and part is not None else part

    def _shard(self, k: int, part: torch.Tensor) -> Any:
        from torch.distributed.tensor import DTensor

        like: Any = self.whole[k]
        return DTensor.from_local(
            part.detach(), like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
        )

    def share(self, k: int, whole: torch.Tensor) -> torch.Tensor:
        """The part of ``whole``, a tensor shaped as parameter ``k``, that this process holds."""
        if not self.sharded:
            return whole
        part = self.parameters[k]
        return whole.reshape(-1)[self.starts[k] : self.starts[k] + part.numel()].view(part.shape)


def _is_sharded(parameter: torch.nn.Parameter) -> bool:
    return hasattr(parameter, "to_local")


@torch.no_grad()
def _part(parameter: Any) -> torch.nn.Parameter:
    return torch.nn.Parameter(parameter.to_local())


def _start(parameter: torch.nn.Parameter, world: World) -> int:
    """The place where this process's shard begins: the first axis is cut into equal parts, the last of them shorter."""
    rows = -(-len(parameter) // world.size)
    return min(world.rank * rows, len(parameter)) * (parameter.numel() // len(parameter))
