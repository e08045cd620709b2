"""Repetition inside an answer: a damaged model turns in circles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.answers import grams, mean_over_answers

WORDS = 4


@dataclass(frozen=True)
class Repetition:
    """mean over answers of 1 - different runs of four words / all runs of four words, in [0, 1).

    An answer of fewer than four words has no such run and is left out of the mean. details: the number of blanks.
    Source: the repetition of Welleck et al. (arXiv 1908.04319), seq-rep-4, on words and marks, not tokens.
    """

    name: ClassVar[str] = "repetition"
    unit: ClassVar[str] = "share of four-word runs"
    version: ClassVar[int] = 2
    better: ClassVar[Literal["lower"]] = "lower"
    needs: ClassVar[frozenset[str]] = frozenset({"generation"})

    def compute(self, examples: Sequence[Scored], oracle: Sequence[Scored] | None) -> Result:
        """The mean, and one share per example; ``oracle`` is not read."""
        return mean_over_answers(examples, _repeated)


def _repeated(text: str) -> float | None:
    runs = grams(text, WORDS)
    return 1 - len(set(runs)) / len(runs) if runs else None
