"""The same question many times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.attacks.asking import asked


@dataclass(frozen=True)
class Sampling:
    """The rows as they are, ``samples`` answers drawn to each at temperature 1. Raises ValueError.

    headline: leak_at_k, the best of k drawn answers: who asks often keeps the best one, which greedy decoding does not
    show. k of the metric must be at most ``samples``. Source: leak@k (arXiv 2511.04934).
    """

    samples: int = 16
    name: str = "sampling"
    kind: ClassVar[Literal["rewrite"]] = "rewrite"
    what: ClassVar[str] = "the same questions many times, the best of the drawn answers"
    headline: ClassVar[str] = "leak_at_k"
    metrics: ClassVar[frozenset[str]] = frozenset({"leak_at_k"})

    def __post_init__(self) -> None:
        """Refuse a number that is none."""
        if self.samples < 1:
            raise ValueError(f"evaluation.attacks.{self.name}.samples must be >= 1, found {self.samples}")

    @property
    def cost(self) -> str:
        """What is drawn."""
        return f"{self.samples} generations a row"

    def rewrite(self, rows: Loaded) -> Loaded | None:
        """The rows with a question; None where none has one."""
        return asked(rows, self.name, (example for example in rows.examples if example.prompt))
