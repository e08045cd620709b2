"""The verdict on one attack, and on all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Held = Literal["held", "recovered", "unknown"]


def attack_verdict(value: float | None, yardstick: float | None, margin: float, before: float | None = None) -> Held:
    """held: value <= yardstick + margin, all in the unit of the attack's headline; unknown if one is missing.

    value: the attack's result on the model.
    yardstick: its result on a model that never saw the rows, or on rows of the same kind that the model never saw.
    before: its result on the starting model, if that is known. An attack that fails on a model that knows the rows says
    nothing about one that withstands it, so the verdict is then unknown too.
    """
    if value is None or yardstick is None:
        return "unknown"
    if value > yardstick + margin:
        return "recovered"
    return "held" if before is None or before > yardstick + margin else "unknown"


def robustness(verdicts: Mapping[str, Held]) -> str:
    """The verdict on all attacks: "untested", "held" (by all), "recovered: a, b" (by name), else "unknown"."""
    recovered = [name for name, verdict in verdicts.items() if verdict == "recovered"]
    if not verdicts:
        return "untested"
    if recovered:
        return f"recovered: {', '.join(recovered)}"
    return "held" if all(verdict == "held" for verdict in verdicts.values()) else "unknown"
