"""The forward KL with its gradient in closed form."""

from __future__ import annotations

from typing import Any

import torch


class ForwardKL(torch.autograd.Function):
    """sum of KL(softmax(reference) || softmax(logits)) over rows; d/dlogits = softmax(logits) - softmax(reference)."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """Logits and reference [N, V] -> scalar."""
        log_p = logits.log_softmax(-1)
        log_q = reference.log_softmax(-1)
        q = log_q.exp()
        value = (q * (log_q - log_p)).sum()
        ctx.save_for_backward(log_p.exp_().sub_(q))
        return value

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The scalar's gradient times p - p_ref; the reference is frozen."""
        (difference,) = ctx.saved_tensors
        return difference * grad_outputs[0], None


def forward_kl_sum(logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """ForwardKL applied: logits and reference [N, V] -> scalar."""
    value: torch.Tensor = ForwardKL.apply(logits, reference)  # type: ignore[no-untyped-call]
    return value
