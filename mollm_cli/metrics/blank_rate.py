"""Share of blank answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Scored
from mollm_cli.metrics.aggregate import MeanMetric
from mollm_cli.metrics.answers import is_blank


@dataclass(frozen=True)
class BlankRate(MeanMetric):
    """Share of greedy answers that are empty or white space, in [0, 1].

    A blank answer is neither safe nor a refusal. The metrics that judge answers leave it out; this one shows it.
    """

    name: ClassVar[str] = "blank_rate"
    unit: ClassVar[str] = "share of answers"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["lower"]] = "lower"
    needs: ClassVar[frozenset[str]] = frozenset({"generation"})

    def value(self, scored: Scored) -> float | None:
        """0 or 1; None without a generation."""
        return None if scored.generation is None else float(is_blank(scored.generation))
