"""Diversity of the answers: different questions should get different answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.answers import answer, blanks, grams


@dataclass(frozen=True)
class Diversity:
    """distinct-2: different pairs of words / all pairs of words, over the greedy answers of a set; in (0, 1].

    The per-example values are each answer's own; None for an answer of fewer than two words. The value falls with the
    number and the length of the answers, so compare it on the same rows only. It has no interval, because a row that is
    drawn twice repeats itself. Words: core/words.py. Source: Li et al. (arXiv 1510.03055).
    """

    name: ClassVar[str] = "diversity"
    unit: ClassVar[str] = "share of word pairs"
    version: ClassVar[int] = 2
    better: ClassVar[Literal["higher"]] = "higher"
    needs: ClassVar[frozenset[str]] = frozenset({"generation"})

    def compute(self, examples: Sequence[Scored], oracle: Sequence[Scored] | None) -> Result:
        """The share over the set, and that of each answer; ``oracle`` is not read."""
        pairs = [grams(answer(scored) or "", 2) for scored in examples]
        return Result(
            value=_distinct([pair for of_one in pairs for pair in of_one]),
            per_example=tuple(map(_distinct, pairs)),
            details={"blank": blanks(examples)},
        )


def _distinct(pairs: Sequence[tuple[str, ...]]) -> float | None:
    return len(set(pairs)) / len(pairs) if pairs else None
