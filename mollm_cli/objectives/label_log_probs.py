"""Log-probabilities of the labels, of which most objectives are functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mollm_cli.core.outputs import Outputs
from mollm_cli.core.types import ObjectiveFunction, Role

if TYPE_CHECKING:
    import torch


def upcast(logits: torch.Tensor) -> torch.Tensor:
    """Half-precision logits in float32 (a softmax over V terms loses bf16's 8 bits); others as they are."""
    return logits.float() if logits.element_size() < 4 else logits


def label_log_probs(outputs: Outputs) -> torch.Tensor:
    """log p_t = z[y_t] - logsumexp(z), in (-inf, 0]. Shapes: logits [N, V], labels [N] -> [N]."""
    return outputs.per_token(token_log_probs)


def token_log_probs(logits: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor | None) -> torch.Tensor:
    """log p of each token's label, as ``Outputs.per_token`` reads it. Shapes: logits [n, V], labels [n] -> [n]."""
    logits = upcast(logits)
    picked = logits.gather(-1, labels[:, None]).squeeze(-1)
    return picked - logits.logsumexp(-1)


def sequence_sums(values: torch.Tensor, outputs: Outputs) -> torch.Tensor:
    """The sum of per-token ``values`` [N] over each sequence, [B]; 0 where it has no target."""
    return values.new_zeros(outputs.sequences).index_add(0, outputs.sequence, values)


def target_counts(values: torch.Tensor, outputs: Outputs) -> torch.Tensor:
    """The number of targets of each sequence, [B], in the type of ``values`` [N]."""
    return sequence_sums(values.new_ones(values.shape), outputs)


def sequence_means(values: torch.Tensor, outputs: Outputs) -> torch.Tensor:
    """The mean of per-token ``values`` [N] over each sequence that has a target, [B'] in row order, B' <= B."""
    count = target_counts(values, outputs)
    return (sequence_sums(values, outputs) / count)[count > 0]


def on(role: Role, function: Callable[[Outputs], tuple[torch.Tensor, int]]) -> ObjectiveFunction:
    """An objective's function of all roles' outputs, made from a ``function`` of one role's."""

    def read(outputs: Mapping[Role, Outputs]) -> tuple[torch.Tensor, int]:
        return function(outputs[role])

    return read
