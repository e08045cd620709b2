"""Distillation from the starting model with the label's logit lowered: the forget objective of UNDIAL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.objectives.label_log_probs import upcast

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


def adjusted_distillation(outputs: Outputs, beta: float) -> tuple[torch.Tensor, int]:
    """sum_t sum_v -q_v log p_v, q = softmax(z_ref - beta onehot(y)), each term in [entropy of q, inf) nats, and N.

    Its minimum is p = q, the starting model with the label held for e^beta times less likely. It is bounded below, so
    it stops by itself. The gradient by the logits is p - q. Source: Dong et al., arXiv 2402.10052.
    Shapes: logits and reference_logits [N, V] -> scalar. Raises ValueError without reference logits.
    """
    if outputs.reference is None:
        raise ValueError("adjusted_distillation needs reference logits: declare its objective with reference=True")

    def distance(logits: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        frozen, own = upcast(reference), labels[:, None]
        lowered = frozen.scatter(-1, own, frozen.gather(-1, own) - beta)
        return -(lowered.softmax(-1) * upcast(logits).log_softmax(-1)).sum(-1)

    return outputs.per_token(distance).sum(), outputs.labels.numel()
