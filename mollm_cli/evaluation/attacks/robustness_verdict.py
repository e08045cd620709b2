"""Whether forgetting stood up to an attack, and to all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Held = Literal["held", "recovered", "unknown"]


def attack_verdict(value: float | None, yardstick: float | None, margin: float, before: float | None = None) -> Held:
    """held: value <= yardstick + margin, all in the unit of the attack's headline; unknown where one is missing.

    value: what the attack got out of the model. yardstick: what the same attack gets out of a model that never saw the
    rows, or out of rows of their kind that the model never saw. before: what it gets out of the starting model, where
    that is known: an attack that cannot get the rows out of a model that has them says nothing of one that held, so
    that is unknown too.
    """
    if value is None or yardstick is None:
        return "unknown"
    if value > yardstick + margin:
        return "recovered"
    return "held" if before is None or before > yardstick + margin else "unknown"


def robustness(verdicts: Mapping[str, Held]) -> str:
    """One word on all attacks, by name: "untested", "held" (all did), "recovered: a, b", else "unknown"."""
    recovered = [name for name, verdict in verdicts.items() if verdict == "recovered"]
    if not verdicts:
        return "untested"
    if recovered:
        return f"recovered: {', '.join(recovered)}"
    return "held" if all(verdict == "held" for verdict in verdicts.values()) else "unknown"
