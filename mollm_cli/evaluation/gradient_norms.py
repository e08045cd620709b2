"""The gradient norm of single rows: small for a row on which the model has settled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from mollm_cli.core.types import Encoded


def gradient_norms(
    model: PreTrainedModel, encoded: Sequence[Encoded], pad_id: int, device: torch.device
) -> list[float]:
    """|d mean_t nll_t / d theta| of each row, in [0, inf); one forward and one backward pass per row.

    theta: all parameters of a floating type, frozen ones too, so that a model with an adapter and a whole one are
    measured alike. The norm is Euclidean, in float32 at least. The model's gradients, frozen parameters and training
    mode are left as they were.
    """
    import torch

    from mollm_cli.data.batches import collate
    from mollm_cli.models.forward import forward
    from mollm_cli.objectives.cross_entropy import cross_entropy

    parameters = [p for p in model.parameters() if p.is_floating_point()]
    frozen = [p for p in parameters if not p.requires_grad]
    training = model.training
    model.eval()
    norms = []
    try:
        for parameter in frozen:
            parameter.requires_grad_(True)
        for row in encoded:
            with torch.enable_grad():
                total, count = cross_entropy(forward(model, collate([row], pad_id).to(device)))
                # A row need not reach every parameter: an expert may rest.
                gradients = torch.autograd.grad(total / count, parameters, allow_unused=True)
            each = [_norm(g) for g in gradients if g is not None]
            norms.append(float(torch.linalg.vector_norm(torch.stack(each))))
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
        model.train(training)
    return norms


def _norm(gradient: torch.Tensor) -> torch.Tensor:
    """The norm of one gradient: float64 []."""
    import torch

    # In half precision a square overflows beyond 256 and vanishes below 1e-4.
    wide = torch.promote_types(gradient.dtype, torch.float32)
    norm: torch.Tensor = torch.linalg.vector_norm(gradient, dtype=wide).double()
    return norm
