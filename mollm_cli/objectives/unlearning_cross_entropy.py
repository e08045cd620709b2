"""Unlearning cross-entropy (UCE): the bounded forget objective of MOLLM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.objectives.label_log_probs import label_log_probs

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


def unlearning_cross_entropy(outputs: Outputs) -> tuple[torch.Tensor, int]:
    """sum_t -log(1 - p_t / 2), each term in [0, log 2], and N. Shapes: logits [N, V] -> scalar.

    Its derivative by the label's logit is p(1-p)/(2-p): at most 3 - 2 sqrt 2 = 0.1716 (at p = 2 - sqrt 2), vanishing as
    p -> 0 (no explosion) and as p -> 1 (slow start). Equal to gradient ascent with token weight p / (2 - p).
    Source: FedOSD's unlearning cross-entropy (Pan et al.), which MOLLM (arXiv 2412.20412) takes over.
    """
    p = label_log_probs(outputs).exp()
    return -(-0.5 * p).log1p().sum(), outputs.labels.numel()
