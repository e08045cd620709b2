"""Perplexity on plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.aggregate import finite_exp
from mollm_cli.metrics.bootstrap import percentiles, resampled_ratios


@dataclass(frozen=True)
class Perplexity:
    """exp(-sum_t log p_t / number of tokens) over the tokens of all rows together, in [1, inf), cut at exp(700).

    The per-example values are each row's own. A row is scored up to ``max_tokens`` of its dataset. With ``windows`` it
    is scored whole, in windows that overlap by half: every token is counted once, with at least half a window of text
    before it, as far as the row has that much.
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
        totals = [math.fsum(scored.log_probs) for scored in examples]
        tokens = [len(scored.log_probs) for scored in examples]
        return Result(
            finite_exp(-math.fsum(totals) / sum(tokens)),
            tuple(finite_exp(-scored.answer_log_prob) for scored in examples),
            _interval(totals, tokens),
        )


def _interval(totals: Sequence[float], tokens: Sequence[int]) -> tuple[float, float] | None:
    """The interval when rows are drawn anew, each with all its tokens; None for a single row."""
    if len(totals) < 2:
        return None
    interval = percentiles(-resampled_ratios(totals, tokens))
    return interval and (finite_exp(interval[0]), finite_exp(interval[1]))
