"""The shards of a run's processes, put together for a resume point and taken apart again.

A point holds whole tensors only, so that any number of processes can go on from it, sharded or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from mollm_cli.gradients.trained import Trained


@dataclass(frozen=True, slots=True)
class Shards:
    """Tensors by their names in a point: "model.NAME", "optimizer.K.KEY", "carried.NAME.K" of the K-th parameter."""

    trained: Trained

    @property
    def writes(self) -> bool:
        """True for the process that writes."""
        return self.trained.world.first

    def agreed(self, found: bool) -> bool:
        """The answer that the writing process has ``found``, the same on all; replicas need not ask."""
        return bool(self.trained.world.from_first(found)) if self.trained.sharded else found

    def gathered(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """``tensors`` with all of their shards, on the CPU of the writing process; the others get none."""
        if not self.trained.sharded:
            return dict(tensors)
        found = {}
        for name, tensor in tensors.items():
            k = self._number(name)
            if tensor.dim() and tensor.shape == self.trained.parameters[k].shape:
                tensor = self.trained.gathered(k, tensor)
            if self.writes:
                found[name] = tensor.cpu().contiguous()
        return found

    def shared_out(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The optimizer's ``tensors`` cut down to this process's shards; other tensors as they are."""
        if not self.trained.sharded:
            return dict(tensors)
        found = dict(tensors)
        for name, tensor in tensors.items():
            if name.startswith("optimizer.") and tensor.dim():
                found[name] = self.trained.share(self._number(name), tensor)
        return found

    def generators(self, states: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The states of the random generators: this process's, and "rng.NAME.RANK" of every other that holds shards."""
        found = {f"rng.{name}": state for name, state in states.items()}
        if self.trained.sharded:
            for name, state in states.items():
                for rank, other in enumerate(self.trained.world.everyones(state.tolist())):
                    if rank:
                        found[f"rng.{name}.{rank}"] = torch.tensor(other, dtype=torch.uint8)
        return found

    def generator(self, tensors: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        """The state of this process's generator; the first process's where the point has none for it."""
        return tensors.get(f"rng.{name}.{self.trained.world.rank}", tensors[f"rng.{name}"])

    def _number(self, name: str) -> int:
        kind, rest = name.split(".", 1)
        if kind == "model":
            return self.trained.names.index(rest)
        return int(rest.split(".")[0] if kind == "optimizer" else rest.rpartition(".")[2])
