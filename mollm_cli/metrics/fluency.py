"""Perplexity of the answers under the starting model: do they still read like language?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.aggregate import finite_exp, mean_result
from mollm_cli.metrics.answers import blanks


@dataclass(frozen=True)
class Fluency:
    """exp(-mean over answers of their mean token log p under the reference), in [1, inf), cut at exp(700).

    Every answer weighs the same, whatever its length; the per-example values are each answer's own perplexity. Blank
    answers are left out and counted in details. Endless repetition of one word can have a low perplexity, so read this
    beside repetition.
    """

    name: ClassVar[str] = "fluency"
    unit: ClassVar[str] = "perplexity"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["lower"]] = "lower"
    needs: ClassVar[frozenset[str]] = frozenset({"fluency"})

    def compute(self, examples: Sequence[Scored], oracle: Sequence[Scored] | None) -> Result:
        """The perplexity, and that of each answer (None for a blank); ``oracle`` is not read."""
        logs = mean_result(scored.fluency_log_prob for scored in examples)
        return Result(
            value=None if logs.value is None else finite_exp(-logs.value),
            per_example=tuple(None if log is None else finite_exp(-log) for log in logs.per_example),
            interval=None if logs.interval is None else (finite_exp(-logs.interval[1]), finite_exp(-logs.interval[0])),
            details={"blank": blanks(examples)},
        )
