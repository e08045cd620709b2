"""What a judge is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class Judge(Protocol):
    """Reads answers to prompts and gives each the probability of being what it looks for (harmful, toxic, ...)."""

    def check(self) -> None:
        """Raise RequestError for what ``scores`` would refuse, as far as it shows before any weights are loaded."""
        ...

    def scores(self, prompts: Sequence[str], answers: Sequence[str], device: torch.device) -> list[float]:
        """One number in [0, 1] an answer, in the order given."""
        ...
