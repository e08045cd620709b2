"""Drift, the way of a model from its start where it was not trained, as KL on rows and answers to plain prompts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mollm_cli.evaluation.ratio_interval import FEWEST, LogRatio, Place, mean_of


@dataclass(frozen=True, slots=True)
class Drift:
    """The drift that was found.

    kl: by set, the KL of each row, in nats per token (evaluation/start_kl.py).
    same: of each plain prompt whether its answer says the same (evaluation/same_answer.py).
    left_out: why there are no answers; "" where there are.
    """

    kl: Mapping[str, Sequence[float]] = field(default_factory=dict)
    same: Sequence[bool] = ()
    left_out: str = ""

    def places(self, most: float, least: float) -> list[Place | None]:
        """Of each set's mean KL beside ``most``, and of the share of same answers beside ``least``, within or beyond.

        None where the interval lies on both sides.
        """
        found = [mean_of(values).place(-math.inf, most) for values in self.kl.values() if values]
        return found + ([mean_of(self.same).place(least, math.inf)] if self.same else [])

    def told(self, most: float, least: float) -> dict[str, Any]:
        """For metrics.json: "kl" by set and "answers", each with value, interval, bound, rows."""
        kl = {name: _told(mean_of(values), -math.inf, most) for name, values in self.kl.items() if values}
        answers = _told(mean_of(self.same), least, math.inf) if self.same else {"left_out": self.left_out}
        return {"kl": kl, "answers": answers}


def usable(same: Sequence[bool | None]) -> list[bool]:
    """The comparisons that could be made; none where they are too few to show anything."""
    found = [each for each in same if each is not None]
    return found if len(found) >= FEWEST else []


def _told(found: LogRatio, low: float, high: float) -> dict[str, Any]:
    decided = found.place(low, high) is not None
    return {
        "value": found.value,
        "interval": [found.low, found.high],
        "bound": high if math.isfinite(high) else low,
        "rows": found.rows,
        "rows_needed": None if decided else found.rows_needed(low, high),
    }
