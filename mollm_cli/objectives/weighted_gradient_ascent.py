"""Weighted gradient ascent (WGA): ascent that lets go of tokens that are forgotten already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.objectives.label_log_probs import label_log_probs

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


def weighted_gradient_ascent(outputs: Outputs, beta: float) -> tuple[torch.Tensor, int]:
    """sum_t p_t^beta log p_t, the factor p_t^beta a constant, each term in [-1 / (e beta), 0] nats, and N.

    The derivative by log p_t is p_t^beta: 1 where a token is known by heart, vanishing as it is forgotten; beta = 0 is
    gradient ascent. Source: Wang et al., arXiv 2502.19301. Shapes: logits [N, V] -> scalar.
    """
    log_probs = label_log_probs(outputs)
    weights = (beta * log_probs.detach()).exp()
    return (weights * log_probs).sum(), outputs.labels.numel()
