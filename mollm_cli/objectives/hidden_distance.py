"""The distance of hidden states from the starting model's: the retain objective of RMU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.objectives.label_log_probs import upcast

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


def hidden_distance(outputs: Outputs) -> tuple[torch.Tensor, int]:
    """sum_t mean_j (h_t,j - h_ref,t,j)^2, each term in [0, inf), and N; exactly 0, with its gradient, at the start.

    Source: Li et al. (WMDP), arXiv 2403.03218. Shapes: hidden and reference_hidden [N, H] -> scalar. Raises ValueError
    without them.
    """
    if outputs.hidden is None or outputs.reference_hidden is None:
        raise ValueError(
            "hidden_distance needs hidden states of both models: declare its objective with layer=NUMBER and "
            "reference=True"
        )
    change = upcast(outputs.hidden) - upcast(outputs.reference_hidden)
    return change.square().mean(-1).sum(), outputs.labels.numel()
