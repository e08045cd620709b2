"""Cross-entropy, the retain objective."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from mollm_cli.objectives.label_log_probs import label_log_probs

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


def cross_entropy(outputs: Outputs) -> tuple[torch.Tensor, int]:
    """sum_t -log p_t, in [0, inf) nats, and the number N of target tokens. Shapes: logits [N, V] -> scalar."""
    return -label_log_probs(outputs).sum(), outputs.labels.numel()


def reference_cross_entropy(outputs: Outputs) -> tuple[torch.Tensor, int]:
    """``cross_entropy`` of the frozen starting model on the same rows, without a graph.

    Raises ValueError without reference logits.
    """
    import torch

    if outputs.reference is None:
        raise ValueError("the start's cross-entropy needs reference logits: declare an objective with reference=True")
    with torch.no_grad():
        return cross_entropy(dataclasses.replace(outputs, said=outputs.reference, reference=None))
