"""One forward pass that computes logits only where there is a target."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from mollm_cli.core.masking import target_positions
from mollm_cli.core.types import Batch, Outputs


@contextmanager
def _head_sees_only(model: torch.nn.Module, sequence: torch.Tensor, position: torch.Tensor) -> Iterator[None]:
    """Within the block the language-model head gets hidden states [1, N, H] at the targets instead of [B, T, H].

    A hook on the head itself, so that whatever the architecture does with the logits afterwards (scaling, soft-capping)
    is done by its own code, on N rows.
    """

    def select(module: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (inputs[0][sequence, position].unsqueeze(0), *inputs[1:])

    head = model.get_output_embeddings()  # type: ignore[operator]
    handle = head.register_forward_pre_hook(select) if head is not None else None
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


def target_logits(model: torch.nn.Module, batch: Batch, positions: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Logits [N, V] at ``positions`` = (sequence [N], position [N]).

    A model without a separate head computes all [B, T, V] of them first, and they are selected afterwards.
    """
    sequence, position = positions
    with _head_sees_only(model, sequence, position):
        logits: torch.Tensor = model(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
        ).logits
    if logits.shape[:2] == (1, len(sequence)):
        return logits[0]
    return logits[sequence, position]


def forward(model: torch.nn.Module, batch: Batch, reference_logits: torch.Tensor | None = None) -> Outputs:
    """The model's outputs at the targets of ``batch``, with the gradient graph of the surrounding context."""
    sequence, position, labels = target_positions(batch.labels)
    logits = target_logits(model, batch, (sequence, position))
    return Outputs(logits, labels, sequence, len(batch.ids), reference_logits)
