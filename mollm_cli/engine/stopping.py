"""When a run ends, and the word for it in the manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mollm_cli.engine.settings import Engine


class Stop(StrEnum):
    """Why a run stopped."""

    MAX_STEPS = "max_steps"
    MAX_EPOCHS = "max_epochs"
    FORGET_TARGET = "forget_target"
    RETAIN_COLLAPSED = "retain_collapsed"


@dataclass(frozen=True, slots=True)
class StopRules:
    """total_steps and the word for reaching them; the forget target and the floor under the retain probability."""

    total_steps: int
    last_word: Stop
    target: float | None = None
    floor: float | None = None

    def after(self, evaluation: Mapping[str, float]) -> Stop | None:
        """The reason to stop that a progress evaluation gives, if any. Collapse is told before success."""
        retain, forget = evaluation.get("retain_probability"), evaluation.get("forget_probability")
        if self.floor is not None and retain is not None and retain < self.floor:
            return Stop.RETAIN_COLLAPSED
        if self.target is not None and forget is not None and forget <= self.target:
            return Stop.FORGET_TARGET
        return None


def rules(settings: Engine, rows: int, target: float | None, retain_start: float | None) -> StopRules:
    """The rules of a run: ``rows`` lead the epoch; ``retain_start`` is what retain_floor is a share of."""
    steps, word = settings.max_steps, Stop.MAX_STEPS
    if settings.max_epochs is not None:
        epochs = math.ceil(settings.max_epochs * rows / settings.batch_size)
        if epochs < steps:
            steps, word = epochs, Stop.MAX_EPOCHS
    floor = None
    if settings.retain_floor is not None and retain_start is not None:
        floor = settings.retain_floor * retain_start
    return StopRules(steps, word, target if settings.stop_at_target else None, floor)
