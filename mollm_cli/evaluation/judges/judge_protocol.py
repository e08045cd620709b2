"""The interface of a judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class Judge(Protocol):
    """Reads answers to prompts and gives each a probability of being harmful, toxic, or what else it looks for."""

    def check(self) -> None:
        """Raise RequestError for whatever ``scores`` would refuse, as far as it shows without loading weights."""
        ...

    def scores(self, prompts: Sequence[str], answers: Sequence[str], device: torch.device) -> list[float]:
        """One number in [0, 1] per answer, in the order given."""
        ...
