"""Simple negative preference (SimNPO): NPO by the mean token log-probability, without a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.objectives.label_log_probs import label_log_probs, sequence_sums, target_counts

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


def simple_negative_preference(outputs: Outputs, beta: float, gamma: float) -> tuple[torch.Tensor, int]:
    """sum_i -(2 / beta) log sigmoid(-beta s_i / |y_i| - gamma), each term in [0, inf) nats, and B; s_i = sum_t log p_t.

    s_i runs over the |y_i| targets of sequence i, so long answers pull no harder than short ones. A sequence without a
    target has s_i = 0: it counts and has no gradient. Source: Fan et al., arXiv 2410.07163 (gamma is the margin; the
    authors' code has gamma = 0). Shapes: logits [N, V] -> scalar.
    """
    from torch.nn.functional import logsigmoid

    log_probs = label_log_probs(outputs)
    means = sequence_sums(log_probs, outputs) / target_counts(log_probs, outputs).clamp(min=1)
    return -(2 / beta) * logsigmoid(-beta * means - gamma).sum(), outputs.sequences
