"""The share of half-precision weights that a step moved: what is below half of a weight's last bit moves none."""

from __future__ import annotations

from collections.abc import Sequence

import torch

SAMPLE = 1024
"""Weights of each tensor that are looked at, evenly spaced: of 272 tensors they give the share to 0.2 %."""


class MovedShare:
    """A sample of half-precision ``parameters`` as they are now, to be compared with what they are after a step."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        self.parameters = [p for p in parameters if p.element_size() < 4 and p.is_floating_point() and p.numel()]
        self.before = [_sample(p).clone() for p in self.parameters]

    def __call__(self) -> float | None:
        """In [0, 1], each tensor by its size; None where no weight is of half precision."""
        if not self.parameters:
            return None
        shares = [(_sample(p) != b).double().mean() for p, b in zip(self.parameters, self.before, strict=True)]
        sizes = torch.tensor([p.numel() for p in self.parameters], dtype=torch.float64, device=shares[0].device)
        return float(torch.stack(shares) @ sizes / sizes.sum())  # one transfer


def _sample(parameter: torch.nn.Parameter) -> torch.Tensor:
    flat = parameter.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // SAMPLE)]
