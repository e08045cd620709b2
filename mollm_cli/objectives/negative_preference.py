"""Negative preference (NPO): gradient ascent whose pull on a sequence fades as the sequence is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.objectives.log_ratio import log_ratios

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


def negative_preference(outputs: Outputs, beta: float) -> tuple[torch.Tensor, int]:
    """sum_i -(2 / beta) log sigmoid(-beta s_i), each term in [0, inf) nats, and B; s_i = sum_t (log p_t - log p_ref,t).

    s_i runs over the targets of sequence i. The derivative by s_i is 2 sigmoid(beta s_i): 1 at the start (that of
    gradient ascent on sequence sums), at most 2, and exponentially small once s_i lies far below -1 / beta. A sequence
    without a target has s_i = 0: it counts, as it does in the engine's number of sequences, and has no gradient.
    Source: Zhang et al., arXiv 2404.05868. Shapes: logits and reference_logits [N, V] -> scalar.
    Raises ValueError without reference logits.
    """
    from torch.nn.functional import logsigmoid

    sums = log_ratios(outputs, "negative_preference")
    return -(2 / beta) * logsigmoid(-beta * sums).sum(), outputs.sequences
