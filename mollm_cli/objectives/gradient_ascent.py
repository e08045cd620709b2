"""Negative log-likelihood ascent: the unbounded forget objective of GA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.objectives.label_log_probs import label_log_probs

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


def gradient_ascent(outputs: Outputs) -> tuple[torch.Tensor, int]:
    """sum_t log p_t = -sum_t nll_t, in (-inf, 0] nats, and N. Minimising it raises the forget loss without bound.

    Source: Jang et al., arXiv 2210.01504. Shapes: logits [N, V] -> scalar.
    """
    return label_log_probs(outputs).sum(), outputs.labels.numel()
