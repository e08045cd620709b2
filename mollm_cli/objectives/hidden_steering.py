"""Hidden states steered to a fixed random direction: the forget objective of RMU."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from mollm_cli.objectives.label_log_probs import upcast

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


@functools.lru_cache(maxsize=8)
def random_direction(size: int, seed: int) -> torch.Tensor:
    """u [H] of length 1: uniform on [0, 1)^H, then normalised; a pure function of the arguments, on the CPU."""
    import torch

    u = torch.rand(size, generator=torch.Generator().manual_seed(seed))
    direction: torch.Tensor = u / torch.linalg.vector_norm(u)
    return direction


def hidden_steering(outputs: Outputs, coefficient: float, seed: int) -> tuple[torch.Tensor, int]:
    """sum_t mean_j (h_t,j - c u_j)^2, each term in [0, inf), and N; c the coefficient, u the direction of ``seed``.

    h_t is what the layer gives out where target t is predicted from; the authors' code takes the target's own position,
    one further on. Source: Li et al. (WMDP), arXiv 2403.03218. Shapes: hidden [N, H] -> scalar. Raises ValueError
    without hidden states.
    """
    if outputs.hidden is None:
        raise ValueError("hidden_steering needs hidden states: declare its objective with layer=NUMBER")
    hidden = upcast(outputs.hidden)
    goal = coefficient * random_direction(hidden.shape[-1], seed).to(hidden)
    return (hidden - goal).square().mean(-1).sum(), outputs.labels.numel()
