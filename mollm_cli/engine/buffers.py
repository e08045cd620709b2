"""Memory that stays from step to step."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class Buffers:
    """Tensors like the parameters, made at the first use and kept, on a CPU.

    Fresh pages cost more there than what is done in them: a copy into them takes five times as long. Elsewhere there
    is none: CUDA's allocator keeps its own.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        self.parameters = parameters
        self.wanted = all(p.device.type == "cpu" for p in parameters)
        self._tensors: list[torch.Tensor] = []

    def tensors(self) -> list[torch.Tensor] | None:
        """One a parameter, whatever is in them; None where none are kept."""
        if self.wanted and not self._tensors:
            self._tensors = [
                torch.empty_like(p, requires_grad=False, memory_format=torch.contiguous_format) for p in self.parameters
            ]
        return self._tensors if self.wanted else None

    def copied(self) -> list[torch.Tensor]:
        """The parameters as they are now; in the room, until the next copy, where there is one."""
        kept = self.tensors()
        if kept is None:
            return [p.detach().clone() for p in self.parameters]
        for tensor, parameter in zip(kept, self.parameters, strict=True):
            tensor.copy_(parameter.detach())
        return kept
