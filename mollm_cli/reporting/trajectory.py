"""The course of a run from train.jsonl: curves, the path of forget and retain, the solver's statuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mollm_cli.reporting.formatting import finite

Record = Mapping[str, Any]
FORGET = "evaluation.forget_probability"
RETAIN = "evaluation.retain_probability"


@dataclass(frozen=True, slots=True)
class ProgressPoint:
    """One progress evaluation: the probabilities of the forget and retain answers after ``step`` steps."""

    step: int
    forget: float
    retain: float


def curve(steps: Sequence[Record], key: str) -> tuple[tuple[float, float | None], ...]:
    """(step, value) of ``key`` for the steps that logged it; a value that is not finite is None and breaks the line."""
    return tuple((float(record["step"]), finite(record[key])) for record in steps if key in record)


def keys_under(steps: Sequence[Record], prefix: str) -> tuple[str, ...]:
    """The keys that begin with ``prefix``, in order of first appearance."""
    return tuple(dict.fromkeys(key for record in steps for key in record if key.startswith(prefix)))


def evaluations(steps: Sequence[Record]) -> tuple[ProgressPoint, ...]:
    """The progress evaluations that have both sides."""
    found = ((record["step"], finite(record.get(FORGET)), finite(record.get(RETAIN))) for record in steps)
    return tuple(ProgressPoint(step, f, r) for step, f, r in found if f is not None and r is not None)


def retain_at_matched_forgetting(path: Sequence[ProgressPoint], target: float | None) -> float | None:
    """The retain probability at the moment when the forget probability first comes down to ``target``.

    Linear interpolation between the two evaluations a, b around it, with forget_a > target >= forget_b:
    retain_a + (forget_a - target) / (forget_a - forget_b) * (retain_b - retain_a). A path that begins at or below the
    target is matched at its beginning. None if the target is never reached, or if there is none.
    """
    if target is None or not path:
        return None
    if path[0].forget <= target:
        return path[0].retain
    for a, b in pairwise(path):
        if a.forget > target >= b.forget:
            return a.retain + (a.forget - target) / (a.forget - b.forget) * (b.retain - a.retain)
    return None


def statuses(steps: Sequence[Record]) -> list[tuple[str, int, float]]:
    """(status, steps, share of the steps that have one) of the solver, the most frequent first."""
    counts = Counter(str(record["status"]) for record in steps if "status" in record)
    total = sum(counts.values())
    return [(status, count, count / total) for status, count in counts.most_common()]
