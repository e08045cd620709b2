"""ROUGE-L: the longest common subsequence of two texts, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence


def words(text: str) -> list[str]:
    """Runs of [a-z0-9] in the lower-cased text, as in the rouge-score package without stemming."""
    return re.findall("[a-z0-9]+", text.lower())


def recall(generated: Sequence[str], answer: Sequence[str]) -> float | None:
    """LCS / len(answer), in [0, 1]; None for an answer without a word (rouge-score gives 0)."""
    return _common(generated, answer) / len(answer) if answer else None


def f1(generated: Sequence[str], answer: Sequence[str]) -> float | None:
    """2 LCS / (len(generated) + len(answer)), in [0, 1]: the harmonic mean of precision and recall.

    None for an answer without a word (rouge-score gives 0).
    """
    return 2 * _common(generated, answer) / (len(generated) + len(answer)) if answer else None


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    from rapidfuzz.distance import LCSseq

    return int(LCSseq.similarity(a, b))
