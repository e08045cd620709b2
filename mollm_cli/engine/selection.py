"""The rule by which a run keeps the weights of one progress evaluation, and the history that it judges."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mollm_cli.engine.engine_settings import Keep

REASONS = {
    "last": "the weights after the last step",
    "reached": "the highest retain probability among the evaluations at or below the forget target {mark:.4g}",
    "missed": "no evaluation reached the forget target {mark:.4g}: the lowest forget probability",
    "yardstick": "the forget probability nearest to {of}, {mark:.4g}",
    "none": "no evaluation could be kept: the weights after the last step",
}
"""Reasons to keep an evaluation, as the manifest gives them. mark: the forget target or yardstick; of: whose it is."""


@dataclass(frozen=True, slots=True)
class Look:
    """One progress evaluation: the forget and the retain probability after ``step`` steps; None without such rows."""

    step: int
    forget: float | None = None
    retain: float | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The rule of engine.keep.

    keep: "last": the weights after the last step, whatever they are.
        "target": of the evaluations with forget <= mark the one with the highest retain; where there is none, the one
        with the lowest forget.
        "yardstick": the one with the smallest |forget - mark|, then the highest retain.
    mark: the forget probability that is looked for.
    of: whose that is, in words.
    floor: an evaluation below this share of the start's retain probability is never kept.

    An evaluation that is equally good does not replace an earlier one.
    """

    keep: Keep = "last"
    mark: float | None = None
    of: str = "the forget target"
    floor: float | None = None

    def better(self, look: Look, best: Look | None, start: Look | None) -> bool:
        """True where ``look`` is to be kept in the place of ``best``."""
        if self.keep == "last" or look.forget is None or not math.isfinite(look.forget):
            return False
        if collapsed(look, start, self.floor):
            return False
        return best is None or self._rank(look) > self._rank(best)

    def _rank(self, look: Look) -> tuple[float, float]:
        """The larger, the better."""
        if look.forget is None or self.mark is None:
            return -math.inf, 0.0
        retain = 0.0 if look.retain is None else look.retain
        if self.keep == "yardstick":
            return -abs(look.forget - self.mark), retain
        return (1.0, retain) if look.forget <= self.mark else (0.0, -look.forget)

    def because(self, best: Look | None) -> str:
        """The reason, in words, for which ``best`` is kept."""
        if self.keep == "last":
            reason = "last"
        elif best is None or best.forget is None or self.mark is None:
            reason = "none"
        elif self.keep == "yardstick":
            reason = "yardstick"
        else:
            reason = "reached" if best.forget <= self.mark else "missed"
        return REASONS[reason].format(mark=self.mark, of=self.of)


def collapsed(look: Look, start: Look | None, floor: float | None) -> bool:
    """True where the retain probability is below the share ``floor`` of its value at the start (or is NaN)."""
    if floor is None or look.retain is None or start is None or start.retain is None:
        return False
    return not look.retain >= floor * start.retain


@dataclass(slots=True)
class History:
    """The progress evaluations so far, from the one before the first step on.

    best: the one that ``selection`` keeps.
    last, previous: the newest one, and the one before it.
    since: evaluations that came after the best one.
    target: the forget probability at which the run may end; settling: evaluations at or below it so far.
    """

    selection: Selection = field(default_factory=Selection)
    start: Look | None = None
    best: Look | None = None
    last: Look | None = None
    previous: Look | None = None
    since: int = 0
    target: float | None = None
    settling: int = 0

    def add(self, step: int, evaluation: Mapping[str, float]) -> bool:
        """Take in the evaluation after ``step`` steps; True where it is the best so far."""
        look = Look(step, evaluation.get("forget_probability"), evaluation.get("retain_probability"))
        self.previous, self.last, self.start = self.last, look, self.start or look
        self.settling += self.target is not None and look.forget is not None and look.forget <= self.target
        better = self.selection.better(look, self.best, self.start)
        self.since = 0 if better else self.since + 1
        if better:
            self.best = look
        return better

    def kept(self, steps: int) -> Look:
        """The evaluation whose weights a run of ``steps`` steps keeps; without one, the last step."""
        if self.best is not None and self.selection.keep != "last":
            return self.best
        return self.last if self.last is not None and self.last.step == steps else Look(steps)

    def told(self, steps: int) -> dict[str, Any]:
        """The manifest's ``selection``."""
        kept = self.kept(steps)
        return {
            "rule": self.selection.keep,
            "step": kept.step,
            "forget_probability": kept.forget,
            "retain_probability": kept.retain,
            "because": self.selection.because(self.best),
        }

    def state(self) -> dict[str, Any]:
        """The history as JSON, for ``restore``."""
        looks = {"start": self.start, "best": self.best, "last": self.last, "previous": self.previous}
        return {name: look and dataclasses.asdict(look) for name, look in looks.items()} | {
            "since": self.since,
            "settling": self.settling,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a ``state``."""
        names = ("start", "best", "last", "previous")
        self.start, self.best, self.last, self.previous = (
            Look(**look) if (look := state.get(name)) else None for name in names
        )
        self.since = int(state.get("since", 0))
        self.settling = int(state.get("settling", 0))
