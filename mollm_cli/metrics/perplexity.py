"""Perplexity on plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.aggregate import finite_exp


@dataclass(frozen=True)
class Perplexity:
    """exp(-sum_t log p_t / number of tokens) over the tokens of all rows together, in [1, inf), cut at exp(700).

    The per-example values are each row's own. Rows are scored as the dataset cuts them, each from its beginning.
    """

    name: ClassVar[str] = "perplexity"
    unit: ClassVar[str] = "perplexity"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["lower"]] = "lower"
    needs: ClassVar[frozenset[str]] = frozenset({"text"})

    def compute(self, examples: Sequence[Scored], oracle: Sequence[Scored] | None) -> Result:
        """The perplexity, and that of each row alone; None without rows. ``oracle`` is not read."""
        if not examples:
            return Result(None)
        total = math.fsum(math.fsum(scored.log_probs) for scored in examples)
        tokens = sum(len(scored.log_probs) for scored in examples)
        return Result(finite_exp(-total / tokens), tuple(finite_exp(-scored.answer_log_prob) for scored in examples))
