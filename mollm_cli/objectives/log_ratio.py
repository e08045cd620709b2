"""The log-ratio of a whole answer, to the model and to the starting model, which preference objectives compare."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from mollm_cli.objectives.label_log_probs import label_log_probs, sequence_sums

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


def log_ratios(outputs: Outputs, objective: str) -> torch.Tensor:
    """s_i = sum_t (log p_t - log p_ref,t) over the targets of sequence i, [B]; 0 where it has none.

    Shapes: logits and reference_logits [N, V]. Raises ValueError, naming ``objective``, without reference logits.
    """
    import torch

    if outputs.reference is None:
        raise ValueError(f"{objective} needs reference logits: declare its objective with reference=True")
    with torch.no_grad():
        starting = label_log_probs(dataclasses.replace(outputs, said=outputs.reference, reference=None))
    return sequence_sums(label_log_probs(outputs) - starting, outputs)
