"""Word-by-word overlap of the model's continuation of a text with the true one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Scored
from mollm_cli.core.words import words
from mollm_cli.metrics.aggregate import MeanMetric
from mollm_cli.metrics.rouge import f1


@dataclass(frozen=True)
class VerbatimMemorization(MeanMetric):
    """mean over texts of the ROUGE-L F1 of the greedy continuation against the true one, in [0, 1] (MUSE: times 100).

    tokens: length of a generation. The true continuation is cut to the same length; otherwise a perfect copy of a long
    text's beginning would score low.
    limited: the sets whose rows are beginnings of texts.
    Raises ValueError. Source: VerbMem of MUSE (arXiv 2407.06460) and its code, which cuts at tokens. Scores do not say
    where a token stands in the text, so here the same share of the words is kept, rounded up. A continuation that was
    cut at the set's max_tokens is taken for the whole text, so keep max_tokens large.
    """

    tokens: int = 128
    limited: tuple[str, ...] = ("verbmem",)
    name: ClassVar[str] = "verbatim_memorization"
    unit: ClassVar[str] = "F1"
    version: ClassVar[int] = 2
    better: ClassVar[Literal["toward_yardstick"]] = "toward_yardstick"
    needs: ClassVar[frozenset[str]] = frozenset({"generation"})

    def __post_init__(self) -> None:
        """Refuse a length below one token."""
        if self.tokens < 1:
            raise ValueError(f"verbatim_memorization: tokens must be >= 1, found {self.tokens}")

    def value(self, scored: Scored) -> float | None:
        """One F1; None without a generation."""
        return None if scored.generation is None else f1(words(scored.generation), self._beginning(scored))

    def _beginning(self, scored: Scored) -> list[str]:
        """The words of the answer's first ``tokens`` tokens."""
        answer = words(scored.example.answer)
        share = min(1.0, self.tokens / len(scored.log_probs))
        return answer[: math.ceil(share * len(answer))]
