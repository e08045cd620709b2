"""Forward KL divergence to the frozen starting model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.objectives.label_log_probs import upcast

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


def forward_kl(outputs: Outputs) -> tuple[torch.Tensor, int]:
    """sum_t sum_v p_ref (log p_ref - log p), over the full vocabulary, in [0, inf) nats, and N.

    The gradient by the logits is p - p_ref, taken in that form: it is exactly zero where the two models agree to the
    bit. Automatic differentiation leaves rounding noise there, which a normalisation would blow up.
    Shapes: logits and reference_logits [N, V] -> scalar. Raises ValueError without reference logits.
    """
    if outputs.reference is None:
        raise ValueError("forward_kl needs reference logits: declare its objective with reference=True")
    return outputs.per_token(token_kl).sum(), outputs.labels.numel()


def token_kl(logits: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """KL(p_ref || p) of each token. Shapes: logits and reference [n, V] -> [n]."""
    from mollm_cli.objectives.forward_kl_function import forward_kl_rows

    return forward_kl_rows(upcast(logits), upcast(reference))
