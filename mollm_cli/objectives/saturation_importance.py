"""Saturation and importance (SatImp): ascent on tokens that are neither forgotten nor certain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.objectives.label_log_probs import label_log_probs

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


def saturation_importance(outputs: Outputs, beta1: float, beta2: float) -> tuple[torch.Tensor, int]:
    """sum_t p_t^beta1 (1 - p_t)^beta2 log p_t, both factors constants, each term in [-1 / (e beta1), 0] nats, and N.

    The first factor (saturation) lets go of forgotten tokens, the second (importance) of tokens that follow from the
    context. beta1 = 1, beta2 = 0 is weighted gradient ascent. Source: Yang et al., arXiv 2505.11953. Shapes: logits
    [N, V] -> scalar.
    """
    log_probs = label_log_probs(outputs)
    p = log_probs.detach().exp().clamp(max=1)
    return (p**beta1 * (1 - p) ** beta2 * log_probs).sum(), outputs.labels.numel()
