"""The one training loop, of unlearning and of fine-tuning."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch

from mollm_cli.core.doing import advance
from mollm_cli.core.errors import InterruptionError, NonFiniteError
from mollm_cli.core.types import Role
from mollm_cli.engine.batch_losses import Batches
from mollm_cli.engine.device import matmul_precision
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.engine.micro_batches import MicroBatches
from mollm_cli.engine.parallel import check_pieces
from mollm_cli.engine.prefetch import BatchSource, prefetched
from mollm_cli.engine.record import step_record
from mollm_cli.engine.result import StepResult
from mollm_cli.engine.selection import History
from mollm_cli.engine.step import Stepper
from mollm_cli.engine.stopping import Stop, StopRules

SHORTEST = 1e-9
"""The fewest seconds a step is said to take: a coarse clock may see none, and tokens are divided by them."""


class Rate(Protocol):
    """The learning rate as a pure function of the step."""

    def rate(self, step: int, total_steps: int) -> float:
        """The rate of the 1-based ``step``."""
        ...


@dataclass(frozen=True, slots=True)
class Hooks:
    """Calls by which the loop evaluates, writes, saves and hears of signals, without knowing how.

    evaluate: a progress evaluation of the model as it is.
    write: takes one line of train.jsonl.
    save: writes a resume point after the step that it is given.
    signalled: the exit code of a signal that has come; None: there was none.
    keep: called after the step whose evaluation is the best so far, by ``History.selection``.
    broken: told of a step whose numbers are not finite: the step, the finding, and the ids of its rows by role.
    """

    evaluate: Callable[[], Mapping[str, float]]
    write: Callable[[Mapping[str, Any]], None]
    save: Callable[[int], None]
    signalled: Callable[[], int | None] = field(default=lambda: None)
    keep: Callable[[int], None] = field(default=lambda step: None)
    broken: Callable[[int, str, Mapping[Role, list[str]]], None] = field(default=lambda step, found, ids: None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The steps that were taken, the reason of the end, and the speed."""

    steps: int
    stopped_because: str
    tokens_per_second: float


def train(
    stepper: Stepper,
    streams: Mapping[Role, BatchSource],
    settings: Engine,
    rate: Rate,
    rules: StopRules,
    history: History,
    around: Hooks,
    device: torch.device,
    start: int = 0,
    pieces: MicroBatches | None = None,
) -> Outcome:
    """Step until a rule says stop.

    start: steps that were taken before, by the run that this one goes on with.
    pieces: rows in one forward pass; None: as ``settings`` ask.

    Raises RequestError before the first step, NonFiniteError before a bad update, InterruptionError after a step.
    """
    tokens, seconds, step, stop = 0, 0.0, start, _over(start, rules, history)
    check_pieces(settings, stepper.trained.world.size)
    pieces = pieces or MicroBatches.of(settings)
    # Batches are a function of the step alone, so a resumed run needs no position in the data.
    in_order = prefetched(streams, settings.rows, device, start, rules.total_steps, stepper.trained.world)
    with matmul_precision(settings), in_order as ready:
        if start == 0 and settings.evaluate_every is not None:
            around.write({"step": 0} | _look(0, history, around))  # the start, which collapse is measured against
        while stop is None and step < rules.total_steps:
            step += 1
            began = time.perf_counter()
            batches, lr = next(ready), rate.rate(step, rules.total_steps)
            # First-order changes are measured on logged steps only: they cost a copy of the parameters.
            logged = step % settings.log_every == 0
            result = _step(partial(pieces.take, stepper, batches, lr, logged, step), step, batches, around, start)
            elapsed = max(time.perf_counter() - began, SHORTEST)
            tokens, seconds = tokens + result.tokens, seconds + elapsed
            record = {"step": step} | (
                step_record(result, stepper.names, result.learning_rate, result.tokens / elapsed) if logged else {}
            )
            if settings.evaluate_every and (step % settings.evaluate_every == 0 or step == rules.total_steps):
                record |= _look(step, history, around)
                stop = rules.after(history)
            if len(record) > 1:
                around.write(record)
            # The point follows the line, so that no step which it stands for is missing in train.jsonl.
            if settings.checkpoint_every and step % settings.checkpoint_every == 0:
                around.save(step)
            _heed_signal(around, step)  # after a whole step, so that the point is one that a run can go on from
    return Outcome(step, str(stop or rules.last_word), tokens / seconds if seconds else 0.0)


def _step(take: Callable[[], StepResult], step: int, batches: Batches, around: Hooks, start: int) -> StepResult:
    """Take ``step``; where a number in it is not finite, save the state before it, and let the run fail."""
    try:
        result = take()
    except NonFiniteError as error:
        around.broken(step, str(error), {role: [i for b in parts for i in b.ids] for role, parts in batches.items()})
        if step > start + 1:  # else the state before this step is the one that was loaded
            around.save(step - 1)
        raise NonFiniteError(f"step {step}: {error}") from error
    advance()
    return result


def _look(step: int, history: History, around: Hooks) -> dict[str, float]:
    """Evaluate, and keep the weights if nothing better was seen before; returns the fields for train.jsonl."""
    evaluation = around.evaluate()
    if history.add(step, evaluation):
        around.keep(step)
    return {f"evaluation.{name}": value for name, value in evaluation.items()}


def _over(start: int, rules: StopRules, history: History) -> Stop | None:
    """The rule by which the run had already stopped when it was cut off; such a run takes no further step."""
    looked = start > 0 and history.last is not None and history.last.step == start
    return rules.after(history) if looked else None


def _heed_signal(around: Hooks, step: int) -> None:
    code = around.signalled()
    if code is not None:
        around.save(step)
        raise InterruptionError(f"interrupted after step {step}", code)
