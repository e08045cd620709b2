"""Share of an answer that the model completes by heart once it is given the rest."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import ClassVar, Literal

from mollm_cli.core.types import Scored
from mollm_cli.metrics.aggregate import MeanMetric


@dataclass(frozen=True)
class ExtractionStrength(MeanMetric):
    """mean over examples of 1 - k/n, in [0, 1].

    n: the number of answer tokens, with the end token.
    k: the fewest of them that must be given before the teacher-forced argmax equals every remaining label; k = n means
    that nothing was extracted, and gives 0.
    Source: Carlini et al. (arXiv 2012.07805); OpenUnlearning (arXiv 2506.12618), whose code bottoms out at 1/n.
    """

    name: ClassVar[str] = "extraction_strength"
    unit: ClassVar[str] = "share of tokens"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["higher"]] = "higher"
    needs: ClassVar[frozenset[str]] = frozenset({"prompt"})

    def value(self, scored: Scored) -> float | None:
        """(n - k) / n of one answer: n - k is the length of the run of correct tokens at its end."""
        extracted = sum(1 for _ in takewhile(bool, reversed(scored.correct)))
        return extracted / len(scored.correct)
