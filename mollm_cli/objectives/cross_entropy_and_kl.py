"""Cross-entropy and the KL to the starting model as one retain objective: one backward less."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.objectives.forward_kl import token_kl
from mollm_cli.objectives.label_log_probs import token_log_probs

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


def cross_entropy_and_kl(outputs: Outputs, kl_share: float) -> tuple[torch.Tensor, int]:
    """sum_t (nll_t + kl_share KL_t(p_ref || p)), in [0, inf) nats, and N; at the start the KL and its gradient are 0.

    Shapes: logits and reference_logits [N, V] -> scalar. Raises ValueError without reference logits.
    """
    if outputs.reference is None:
        raise ValueError("cross_entropy_and_kl needs reference logits: declare its objective with reference=True")

    def both(logits: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        return kl_share * token_kl(logits, labels, reference) - token_log_probs(logits, labels, reference)

    return outputs.per_token(both).sum(), outputs.labels.numel()
