"""A model's drift from its start, in lines: KL on rows that were not trained on, answers to plain questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mollm_cli.core.printable import printable
from mollm_cli.reporting.formatting import finite, label, mapping, number, with_span


def drift_lines(metrics: Mapping[str, Any]) -> list[str]:
    """One line for each set and one for the answers; [] where nothing of it is on record."""
    return [printable(line, one_line=True) for line in _lines(mapping(metrics.get("grounds")))]


def _lines(grounds: Mapping[str, Any]) -> Iterator[str]:
    for name, each in mapping(grounds.get("kl")).items():
        yield f"KL of the start to the model on {label(str(name))}: {_value(mapping(each), ' nats per token', 'up to')}"
    answers = mapping(grounds.get("answers"))
    if answers.get("left_out"):
        yield f"Plain questions are not compared: {answers['left_out']}"
    elif answers.get("value") is not None:
        yield f"Plain questions answered as before: {_value(answers, '', 'from')}"


def _value(each: Mapping[str, Any], unit: str, side: str) -> str:
    """Such as "0.012 (0.010–0.015) nats per token; up to 0.05 counts as kept; 32 rows"."""
    span = each.get("interval")
    value = with_span(each.get("value"), (span[0], span[1]) if isinstance(span, list) and len(span) == 2 else None)
    needed = finite(each.get("rows_needed"))
    more = "" if needed is None else f" (about {number(round(needed))} would tell)"
    return f"{value}{unit}; {side} {number(each.get('bound'))} counts as kept; {number(each.get('rows'))} rows{more}"
