"""A few rows of samples.jsonl for the reader: of each side the two extremes and the middle, not the best ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mollm_cli.reporting.formatting import finite, label
from mollm_cli.reporting.measures import ATTACK

Sample = Mapping[str, Any]
TEXT_KEYS = ("prompt", "answer")

_PLACES = {
    "forget": ("least forgotten", "in the middle", "most forgotten"),
    "retain": ("most damaged", "in the middle", "best kept"),
}


@dataclass(frozen=True, slots=True)
class Picked:
    """One example, and the reason why it was picked. values, generations: pairs (moment, value or text)."""

    why: str
    id: str
    prompt: str | None
    answer: str | None
    metric: str
    values: tuple[tuple[str, float], ...]
    generations: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Examples:
    """The examples of one set. withheld: samples.jsonl holds no text of it. folded: hidden until a reader opens it."""

    set: str
    picked: tuple[Picked, ...]
    withheld: bool
    folded: bool


def pick(samples: Sequence[Sample], group: str, content: str) -> Examples | None:
    """Up to three examples of the set ``group``, by their probability after the run; None without rows.

    The worst comes first: on forget the highest, the median and the lowest, on retain the other way round.
    """
    rows = [sample for sample in samples if sample.get("set") == group]
    if not rows:
        return None
    metric = _metric(rows)
    worst_first = sorted(rows, key=lambda row: _after(row, metric), reverse=group.startswith("forget"))
    indices = sorted({0, len(rows) // 2, len(rows) - 1})
    places = _PLACES["forget" if group.startswith("forget") else "retain"]
    whys = places if len(indices) == 3 else (places[0], places[2])
    picked = tuple(_picked(worst_first[index], metric, why) for index, why in zip(indices, whys, strict=False))
    withheld = not any(key in row for row in rows for key in TEXT_KEYS)
    return Examples(group, picked, withheld, folded=content != "ordinary" and not withheld)


def pick_attacked(samples: Sequence[Sample], headlines: Mapping[str, str], content: str) -> Examples | None:
    """Per attack, the row from which it recovered most, the worst attack first; None if no such row was kept.

    headlines: the metric that decides, by the attack's name.
    """
    worst = []
    for name, headline in headlines.items():
        rows = [sample for sample in samples if sample.get("set") == f"{ATTACK}{name}"]
        if rows:
            metric = headline if any(headline in (row.get("after") or {}) for row in rows) else _metric(rows)
            row = max(rows, key=lambda row: _after(row, metric))
            worst.append((_after(row, metric), _picked(row, metric, label(name))))
    if not worst:
        return None
    picked = tuple(example for _, example in sorted(worst, key=lambda pair: -pair[0]))
    withheld = all(example.prompt is None and example.answer is None for example in picked)
    return Examples("under attack", picked, withheld, folded=content != "ordinary" and not withheld)


def _metric(rows: Sequence[Sample]) -> str:
    """The probability if it was measured, else the first metric that has a value."""
    names = [name for row in rows for name, value in (row.get("after") or {}).items() if finite(value) is not None]
    return "probability" if "probability" in names or not names else names[0]


def _after(row: Sample, metric: str) -> float:
    return finite((row.get("after") or {}).get(metric)) or 0.0


def _picked(row: Sample, metric: str, why: str) -> Picked:
    moments = [(moment, row.get(moment) or {}) for moment in ("before", "after", "oracle")]
    values = [(moment, finite(found.get(metric))) for moment, found in moments]
    return Picked(
        why=why,
        id=str(row.get("id", "")),
        prompt=None if row.get("prompt") is None else str(row["prompt"]),
        answer=None if row.get("answer") is None else str(row["answer"]),
        metric=metric,
        values=tuple((moment, value) for moment, value in values if value is not None),
        generations=tuple((m, str(found["generation"])) for m, found in moments if found.get("generation") is not None),
    )
