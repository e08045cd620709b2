"""Memory that is kept from step to step."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class Buffers:
    """Tensors like the parameters, made at their first use and kept, on a CPU.

    On a CPU fresh pages cost more than the work done in them: a copy into fresh pages takes five times as long.
    Elsewhere nothing is kept, because CUDA's allocator keeps memory of its own.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        self.parameters = parameters
        self.wanted = all(p.device.type == "cpu" for p in parameters)
        self._tensors: list[torch.Tensor] = []

    def tensors(self) -> list[torch.Tensor] | None:
        """One tensor per parameter, with whatever is in it; None where none are kept."""
        if self.wanted and not self._tensors:
            self._tensors = [
                torch.empty_like(p, requires_grad=False, memory_format=torch.contiguous_format) for p in self.parameters
            ]
        return self._tensors if self.wanted else None

    def copied(self) -> list[torch.Tensor]:
        """The parameters as they are now; where tensors are kept, only until the next copy."""
        kept = self.tensors()
        if kept is None:
            return [p.detach().clone() for p in self.parameters]
        for tensor, parameter in zip(kept, self.parameters, strict=True):
            tensor.copy_(parameter.detach())
        return kept
