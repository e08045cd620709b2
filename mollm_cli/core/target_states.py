"""The states that enter the language-model head at the targets, and functions of a token's logits.

Axis letters: N target tokens, V vocabulary, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

TokenFunction = Callable[["torch.Tensor", "torch.Tensor", Any], "torch.Tensor"]
"""Logits [n, V], labels [n] and reference logits [n, V] (None without a reference) in, a number a token out: [n].

Every token is read by itself: the numbers of n tokens are those of each alone. Where no gradient is wanted, [n, k] too.
"""


@dataclass(frozen=True, slots=True)
class TargetStates:
    """The states that enter the language-model head at the N targets, and the head: logits not computed yet.

    hidden [N, H], with its graph; head: [n, H] -> logits [n, V], each row by itself.
    """

    hidden: torch.Tensor
    head: Callable[[torch.Tensor], torch.Tensor]

    @property
    def logits(self) -> torch.Tensor:
        """All of them at once, [N, V], with graph."""
        return self.head(self.hidden)
