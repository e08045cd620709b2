"""ROUGE-L: the longest common subsequence of two texts, in words (core/words.py)."""

from __future__ import annotations

from collections.abc import Sequence


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
