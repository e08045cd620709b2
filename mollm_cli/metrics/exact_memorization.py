"""How many answer tokens the model would choose itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.aggregate import mean_result


@dataclass(frozen=True)
class ExactMemorization:
    """mean over examples of the share of answer tokens with argmax = label under teacher forcing, in [0, 1].

    Source: Tirumala et al. (arXiv 2205.10770); the form of OpenUnlearning (arXiv 2506.12618).
    """

    name: ClassVar[str] = "exact_memorization"
    unit: ClassVar[str] = "share of tokens"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["higher"]] = "higher"
    needs: ClassVar[frozenset[str]] = frozenset()

    def compute(self, examples: Sequence[Scored], oracle: Sequence[Scored] | None) -> Result:
        """The mean, and one share per example; ``oracle`` is not read."""
        return mean_result(sum(scored.correct) / len(scored.correct) for scored in examples)
