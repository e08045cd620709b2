"""Cross-entropy to the model's own distribution without the label: the forget objective of CE-U."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.objectives.label_log_probs import upcast

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


def label_excluded_cross_entropy(outputs: Outputs, skip: int) -> tuple[torch.Tensor, int]:
    """sum_t sum_v -q_v log p_v, q = softmax(z, the label's logit at -inf), a constant; in [0, inf) nats, and N.

    skip: the first targets of each sequence that add nothing.

    The gradient by the logits is p - q: p_y at the label, -p_y q_v at the others, so it fades as the label is
    forgotten. Source: CE-U, arXiv 2503.01224, whose mean runs over the other targets only; ours counts the skipped
    ones, as every mean over tokens here does.
    Shapes: logits [N, V] -> scalar.
    """
    import torch

    def excluded(logits: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor | None) -> torch.Tensor:
        logits = upcast(logits)
        q = logits.detach().scatter(-1, labels[:, None], -torch.inf).softmax(-1)
        return -(q * logits.log_softmax(-1)).sum(-1)

    sequence = outputs.sequence
    first = torch.searchsorted(sequence, sequence)  # targets come sequence by sequence
    place = torch.arange(len(sequence), device=sequence.device) - first
    return outputs.per_token(excluded)[place >= skip].sum(), outputs.labels.numel()
