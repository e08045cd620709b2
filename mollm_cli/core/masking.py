"""The only place where positions are shifted: the logits at position t predict the token at t + 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.core.types import IGNORE

if TYPE_CHECKING:
    import torch


def target_positions(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The positions of a batch that predict a target, and the targets.

    labels: int64 [B, T], IGNORE where there is no target. Returns (sequence, position, target), each int64 [N]:
    the logits at [sequence, position] predict ``target`` = labels[sequence, position + 1]. Row-major order.
    """
    sequence, position = (labels[:, 1:] != IGNORE).nonzero(as_tuple=True)
    return sequence, position, labels[sequence, position + 1]


def count_targets(labels: torch.Tensor) -> int:
    """Number of target positions of int64 ``labels`` [B, T]."""
    return int((labels[:, 1:] != IGNORE).sum())
