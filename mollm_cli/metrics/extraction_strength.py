"""How much of an answer must be given away before the model says the rest by heart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.aggregate import mean_result


@dataclass(frozen=True)
class ExtractionStrength:
    """mean over examples of 1 - k/n, in [0, 1].

    n: answer tokens, the end token included. k: the smallest number of them that must be given so that the
    teacher-forced argmax equals every remaining label; k = n, nothing extracted, gives 0.
    Source: Carlini et al. (arXiv 2012.07805); OpenUnlearning (arXiv 2506.12618), whose code bottoms out at 1/n.
    """

    name: ClassVar[str] = "extraction_strength"
    unit: ClassVar[str] = "share of tokens"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["higher"]] = "higher"
    needs: ClassVar[frozenset[str]] = frozenset({"prompt"})

    def compute(self, examples: Sequence[Scored], oracle: Sequence[Scored] | None) -> Result:
        """The mean, and one strength per example; ``oracle`` is not read."""
        return mean_result(_extracted(scored.correct) / len(scored.correct) for scored in examples)


def _extracted(correct: Sequence[bool]) -> int:
    """The length n - k of the run of correct tokens at the end of the answer."""
    extracted = 0
    for right in reversed(correct):
        if not right:
            break
        extracted += 1
    return extracted
