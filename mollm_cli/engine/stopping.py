"""The rules by which a run ends, and the word for each in the manifest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from mollm_cli.engine.engine_settings import Engine
from mollm_cli.engine.selection import History, collapsed

SETTLED = 0.98
"""A run that holds its retain side goes on at its target until that has this share of its starting probability."""

LOOKS = 5
"""It waits no longer than this many evaluations: what does not come back by then is told by the verdict."""

RETURN = 1.002
"""It waits only as long as each evaluation finds this many times the retain probability of the one before."""


class Stop(StrEnum):
    """The reason for which a run stopped."""

    MAX_STEPS = "max_steps"
    MAX_EPOCHS = "max_epochs"
    FORGET_TARGET = "forget_target"
    RETAIN_COLLAPSED = "retain_collapsed"
    NO_IMPROVEMENT = "no_improvement"


@dataclass(frozen=True, slots=True)
class StopRules:
    """The length of a run, and the rules that end it earlier.

    total_steps, last_word: the steps of the run, and the word for having taken all of them.
    target: the forget probability at which the run ends.
    settled: the share of the start's retain probability that a run at its target waits for, ``LOOKS`` evaluations at
        the most; None: it does not wait.
    floor: the share of the start's retain probability below which the run has collapsed.
    patience: evaluations without a better one after which the run ends.
    """

    total_steps: int
    last_word: Stop
    target: float | None = None
    floor: float | None = None
    patience: int | None = None
    settled: float | None = None

    def after(self, history: History) -> Stop | None:
        """The reason to stop that the newest evaluation gives, if any."""
        look = history.last
        if look is None:
            return None
        # Collapse comes before success: a model that says nothing has forgotten everything too.
        if collapsed(look, history.start, self.floor):
            return Stop.RETAIN_COLLAPSED
        reached = self.target is not None and look.forget is not None and look.forget <= self.target
        if reached and not self._waits(history):
            return Stop.FORGET_TARGET
        if self.patience is not None and history.since >= self.patience:
            return Stop.NO_IMPROVEMENT
        return None

    def _waits(self, history: History) -> bool:
        """True of a run at its target whose retain side is below ``settled`` and still comes back.

        Forgetting rests meanwhile. Whether retain comes back shows at the second evaluation at the target, so that one
        is always waited for.
        """
        last, previous = history.last, history.previous
        if last is None or not collapsed(last, history.start, self.settled) or history.settling >= LOOKS:
            return False
        if history.settling <= 1 or previous is None or previous.retain is None or last.retain is None:
            return True
        return last.retain > RETURN * previous.retain


def rules(settings: Engine, rows: int, target: float | None, held: bool = False) -> StopRules:
    """The rules of a run. rows: those that lead the epoch; held: whether retain is held where it was."""
    steps, word = settings.max_steps, Stop.MAX_STEPS
    if settings.max_epochs is not None:
        epochs = math.ceil(settings.max_epochs * rows / settings.batch_size)
        if epochs < steps:
            steps, word = epochs, Stop.MAX_EPOCHS
    stop_at = target if settings.stop_at_target else None
    return StopRules(steps, word, stop_at, settings.retain_floor, settings.patience, SETTLED if held else None)
