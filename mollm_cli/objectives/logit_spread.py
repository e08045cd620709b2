"""The distance of the largest logit from the mean: the forget objective of PDU, which flattens it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.objectives.label_log_probs import upcast

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


def logit_spread(outputs: Outputs) -> tuple[torch.Tensor, int]:
    """sum_t (max_v z_t,v - mean_v z_t,v)^2, each term in [0, inf) squared logits, and N.

    0 where all logits are equal, the uniform distribution: it forgets the label without naming another. Source:
    Entesari et al., arXiv 2506.05314; their code runs it over prompts and padding too, ours over target tokens.
    Shapes: logits [N, V] -> scalar.
    """
    return outputs.per_token(_spread).sum(), outputs.labels.numel()


def _spread(logits: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor | None) -> torch.Tensor:
    logits = upcast(logits)
    return (logits.amax(-1) - logits.mean(-1)).square()
