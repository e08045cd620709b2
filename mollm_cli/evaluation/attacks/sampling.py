"""The same question, many times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mollm_cli.evaluation.attacks.attack_protocol import Rewrite


@dataclass(frozen=True)
class Sampling(Rewrite):
    """The rows as they are, with ``samples`` answers drawn to each at temperature 1. Raises ValueError.

    headline: leak_at_k, the best of k drawn answers. Someone who asks often keeps the best answer, which greedy
    decoding does not show. k of the metric must be at most ``samples``. Source: leak@k (arXiv 2511.04934).
    """

    samples: int = 16
    name: str = "sampling"
    what: ClassVar[str] = "the same questions many times, the best of the drawn answers"
    headline: ClassVar[str] = "leak_at_k"
    metrics: ClassVar[frozenset[str]] = frozenset({"leak_at_k"})

    def __post_init__(self) -> None:
        """Refuse a number below 1."""
        if self.samples < 1:
            raise ValueError(f"evaluation.attacks.{self.name}.samples must be >= 1, found {self.samples}")

    @property
    def cost(self) -> str:
        """The generations that it takes."""
        return f"{self.samples} generations a row"
