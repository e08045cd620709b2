"""The one training loop, of unlearning and of fine-tuning."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from mollm_cli.core.errors import InterruptionError, NonFiniteError
from mollm_cli.core.types import Batch, Role
from mollm_cli.engine.record import step_record
from mollm_cli.engine.settings import Engine
from mollm_cli.engine.step import Batches, Stepper, StepResult
from mollm_cli.engine.stopping import Stop, StopRules


class BatchSource(Protocol):
    """A role's rows as a pure function of the step."""

    def batches(self, step: int, micro_batch: int | None) -> list[Batch]:
        """The micro-batches of the 0-based ``step``."""
        ...


class Rate(Protocol):
    """The learning rate as a pure function of the step."""

    def rate(self, step: int, total_steps: int) -> float:
        """The rate of the 1-based ``step``."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the loop calls and does not know: how to evaluate, where to write, how to save, whether to stop."""

    evaluate: Callable[[], Mapping[str, float]]
    write: Callable[[Mapping[str, Any]], None]
    save: Callable[[int], None]
    signalled: Callable[[], int | None] = field(default=lambda: None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many steps were taken, why it ended, and how fast it went."""

    steps: int
    stopped_because: str
    tokens_per_second: float


def train(
    stepper: Stepper,
    streams: Mapping[Role, BatchSource],
    settings: Engine,
    rate: Rate,
    rules: StopRules,
    around: Surroundings,
    device: torch.device,
    start: int = 0,
) -> Outcome:
    """Step until a rule says stop. Raises NonFiniteError before a bad update, InterruptionError after a step."""
    names = [o.name for o in stepper.loss.objectives]
    if start == 0 and settings.evaluate_every is not None:
        around.write({"step": 0} | _prefixed(around.evaluate()))
    tokens, seconds, reason = 0, 0.0, rules.last_word
    for step in range(start + 1, rules.total_steps + 1):
        began = time.perf_counter()
        batches = {r: [b.to(device) for b in s.batches(step - 1, settings.micro_batch)] for r, s in streams.items()}
        lr = rate.rate(step, rules.total_steps)
        logged = step % settings.log_every == 0
        result = _step(stepper, batches, lr, logged, step, around if step > start + 1 else None)
        elapsed = time.perf_counter() - began
        tokens, seconds = tokens + result.tokens, seconds + elapsed
        record = {"step": step} | (step_record(result, names, lr, result.tokens / elapsed) if logged else {})
        stop = _look(step, settings, rules, around, record)
        if settings.checkpoint_every and step % settings.checkpoint_every == 0:
            around.save(step)
        _heed_signal(around, step)
        if stop is not None:
            reason = stop
            break
    else:
        step = max(start, rules.total_steps)
    return Outcome(step, str(reason), tokens / seconds if seconds else 0.0)


def _step(
    stepper: Stepper, batches: Batches, lr: float, logged: bool, step: int, around: Surroundings | None
) -> StepResult:
    """Take ``step``. Where a number in it is not finite, what the step before left is saved before the run fails."""
    try:
        return stepper(batches, lr, record=logged)
    except NonFiniteError as error:
        if around is not None:
            around.save(step - 1)
        raise NonFiniteError(f"step {step}: {error}") from error


def _look(step: int, settings: Engine, rules: StopRules, around: Surroundings, record: dict[str, Any]) -> Stop | None:
    """Evaluate where it is due, write the step's record, and say whether a stop rule holds."""
    stop = None
    if settings.evaluate_every and (step % settings.evaluate_every == 0 or step == rules.total_steps):
        evaluation = around.evaluate()
        record |= _prefixed(evaluation)
        stop = rules.after(evaluation)
    if len(record) > 1:
        around.write(record)
    return stop


def _heed_signal(around: Surroundings, step: int) -> None:
    code = around.signalled()
    if code is not None:
        around.save(step)
        raise InterruptionError(f"interrupted after step {step}; resume=RUN_DIR goes on from there", code)


def _prefixed(evaluation: Mapping[str, float]) -> dict[str, float]:
    return {f"evaluation.{name}": value for name, value in evaluation.items()}
