"""The forward KL with its gradient in closed form."""

from __future__ import annotations

from typing import Any

import torch


class ForwardKL(torch.autograd.Function):
    """KL(softmax(reference) || softmax(logits)) of each row; d/dlogits = softmax(logits) - softmax(reference)."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """Logits and reference [N, V] -> [N]."""
        log_p = logits.log_softmax(-1)
        distance = reference.log_softmax(-1)
        q = distance.exp()
        value = distance.sub_(log_p).mul_(q).sum(-1)
        ctx.save_for_backward(log_p.exp_().sub_(q))
        return value

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The gradient of each row's value times p - p_ref; the reference is frozen."""
        (difference,) = ctx.saved_tensors
        return difference * grad_outputs[0][:, None], None


def forward_kl_rows(logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """ForwardKL applied: logits and reference [N, V] -> [N]."""
    value: torch.Tensor = ForwardKL.apply(logits, reference)  # type: ignore[no-untyped-call]
    return value
