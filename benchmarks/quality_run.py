"""One run of the quality benchmark, in this process: train, look every few steps, stop where all axes are matched."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.quality_match import Look, lines
from benchmarks.quality_tasks import Contender, Task
from mollm_cli.configuration.compose import compose_job, composing, plain, without_hydra
from mollm_cli.configuration.request import Request, request
from mollm_cli.core.errors import NonFiniteError
from mollm_cli.core.seeding import seed_everything
from mollm_cli.core.types import Scored
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.engine.device import pick
from mollm_cli.engine.loop import Hooks, train
from mollm_cli.engine.selection import History
from mollm_cli.engine.stopping import Stop
from mollm_cli.evaluation.measuring import Evaluation, evaluate
from mollm_cli.evaluation.suite import Suite
from mollm_cli.evaluation.teacher_forcing import mean_probability
from mollm_cli.metrics.extraction_strength import ExtractionStrength
from mollm_cli.metrics.forget_quality import ForgetQuality
from mollm_cli.metrics.perplexity import Perplexity
from mollm_cli.metrics.probability import Probability
from mollm_cli.metrics.truth_ratio import TruthRatio
from mollm_cli.models.load_model import LoadedModel, load_model
from mollm_cli.models.trainable import restrict
from mollm_cli.run.evidence import plain_model
from mollm_cli.run.prepare import Prepared, prepare
from mollm_cli.run.run_reference import References
from mollm_cli.run.training import build_stepper, build_stream
from mollm_cli.run.training_set import unlearning_set

METRICS = {
    "probability": Probability(),
    "extraction_strength": ExtractionStrength(),
    "perplexity": Perplexity(),
    "truth_ratio": TruthRatio("forget"),
    "truth_ratio_utility": TruthRatio("retain"),
    "forget_quality": ForgetQuality(),
}
NEVER_LOGGED = 10**9
Scores = Mapping[str, Sequence[Scored]]


@dataclasses.dataclass(frozen=True, slots=True)
class Yardstick:
    """The mark of every axis, the oracle's values, and its scores (None where a task has no oracle)."""

    marks: dict[str, float]
    values: dict[str, float | None]
    scores: Scores | None = None


def overrides(task: Task, contender: Contender, seed: int, learning_rate: float) -> list[str]:
    """What would be typed after mollm-unlearn, but for how it is looked at."""
    typed = contender.typed(task)
    if typed is None:
        raise ValueError(f"{contender.name} asks for something that task {task.name} does not have")
    return [*task.overrides, *typed, f"seed={seed}", f"optimizer.lr={learning_rate}", "data.cache=false"]


def composed(typed: Sequence[str]) -> dict[str, Any]:
    """The resolved configuration of a command line."""
    quiet = [f"engine.log_every={NEVER_LOGGED}", "evaluation.oracle=null", "evaluation.membership=false"]
    with composing():
        job = compose_job("config", [*typed, *quiet])
        return plain(without_hydra(job), job.hydra.runtime.choices)


def suite(asked: Request, names: Sequence[str]) -> Suite:
    """These metrics, from teacher forcing alone."""
    metrics = {name: METRICS[name] for name in names}
    return dataclasses.replace(asked.evaluation, metrics=metrics, attacks={}, judges={}, limit=None)


def samples(task: Task, prepared: Prepared) -> dict[str, Loaded]:
    """The sets that are looked at, at most ``task.rows`` rows of each, evenly spaced; of the forget set all."""
    found = {}
    for name in task.sets:
        rows = prepared.loaded[name].examples
        most = len(rows) if name == "forget" and task.oracle else min(task.rows, len(rows))
        found[name] = prepared.loaded[name].keep(rows[i * len(rows) // most] for i in range(most))
    return found


def yardstick(task: Task, oracle: str | None = None) -> Yardstick:
    """The marks of a task, measured on its oracle (or another folder) where it has one."""
    folder = oracle or task.oracle
    if folder is None:
        return Yardstick({axis: float(mark) for axis, mark in task.axes.items() if mark is not None}, {})
    asked = request(composed([*task.overrides, "loss=ga", "data.cache=false"]), "unlearn")
    prepared, loaded = prepare(asked), load_model(plain_model(folder, asked.model), asked.seed)
    names = [name for name in (*task.looked, *task.once) if name != "forget_quality"]
    loaded.model.to(pick(asked.engine.device if asked.engine else "cpu"))
    found = evaluate(loaded.model, loaded.tokenizer, samples(task, prepared), suite(asked, names))
    marks = {axis: _number(found.values[axis]) if mark is None else mark for axis, mark in task.axes.items()}
    return Yardstick(marks, found.values, found.scored)


class Watch:
    """Measures the model at every look, and the more costly metrics at the first look at or past an axis's mark."""

    def __init__(self, task: Task, yardstick: Yardstick, asked: Request, prepared: Prepared, loaded: LoadedModel):
        self.task, self.yardstick, self.asked, self.loaded = task, yardstick, asked, loaded
        self.sets = samples(task, prepared)
        self.once: dict[str, dict[str, float | None]] = {}

    def __call__(self) -> dict[str, float]:
        """The columns of a look."""
        found = {name: _number(value) for name, value in self._measured(self.task.looked).values.items()}
        new = [axis for axis, mark in self.yardstick.marks.items() if axis not in self.once and found[axis] <= mark]
        if new:
            self.once |= dict.fromkeys(new, self._costly())
        return found

    @property
    def done(self) -> bool:
        """Whether every axis is matched."""
        return len(self.once) == len(self.yardstick.marks)

    def _costly(self) -> dict[str, float | None]:
        if not self.task.once:
            return {}
        values = self._measured((*self.task.once, "probability")).values
        truth, kept = values.get("retain_truth_ratio"), values["retain_probability"]
        utility = None if truth is None or kept is None else harmonic_mean(kept, truth)
        return {name: values.get(name) for name in ("forget_quality", "forget_truth_ratio")} | {"utility": utility}

    def _measured(self, names: Sequence[str]) -> Evaluation:
        chosen = suite(self.asked, names)
        return evaluate(self.loaded.model, self.loaded.tokenizer, self.sets, chosen, self.yardstick.scores)


def harmonic_mean(a: float, b: float) -> float:
    """2 a b / (a + b); 0 where either is."""
    return 2 * a * b / (a + b) if a and b else 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class UntilMatched:
    """The stop rule: all axes matched, or the budget is spent."""

    watch: Watch
    total_steps: int
    last_word: Stop = Stop.MAX_STEPS

    def after(self, history: History) -> Stop | None:
        """The reason to stop, if there is one."""
        return Stop.FORGET_TARGET if self.watch.done else None


def run(
    task: Task, contender: Contender, seed: int, learning_rate: float, marks: Yardstick
) -> tuple[list[dict[str, Any]], list[Look]]:
    """(a row per axis, the looks). A run whose numbers stop being finite ends there, with the looks it had."""
    began = time.perf_counter()
    looking = [f"engine.evaluate_every={task.every}"]
    asked = request(composed([*overrides(task, contender, seed, learning_rate), *looking]), "unlearn")
    assert asked.engine is not None and asked.optimizer is not None
    seed_everything(asked.seed)
    device, prepared = pick(asked.engine.device), prepare(asked)
    plan, loaded = unlearning_set(asked, prepared), load_model(asked.model, asked.seed)
    restrict(loaded.model, plan.loss)
    loaded.model.to(device)
    watch = Watch(task, marks, asked, prepared, loaded)
    streams = {role: build_stream(plan, role, asked, prepared) for role in plan.rows}
    references = References(asked, plan, prepared, streams, asked.engine.max_steps, Path.cwd(), _tell)
    reference = references.of(loaded.model, device)
    stepper = build_stepper(asked, plan, loaded, resting(asked, prepared, loaded, device), reference)
    records: list[Mapping[str, Any]] = []
    around = Hooks(watch, records.append, lambda step: None)
    stop = UntilMatched(watch, asked.engine.max_steps)
    try:
        outcome = train(stepper, streams, asked.engine, asked.optimizer, stop, History(), around, device)
        ended = outcome.stopped_because
    except NonFiniteError:
        ended = "not finite"
    looks = looks_of(records)
    head = {
        "task": task.name,
        "loss": contender.name,
        "solver": asked.names.get("solver"),
        "seed": seed,
        "learning_rate": learning_rate,
    }
    tail = {"ended": ended, "seconds": round(time.perf_counter() - began, 1)}
    return [head | line | tail for line in lines(looks, marks.marks, watch.once)], looks


def resting(asked: Request, prepared: Prepared, loaded: LoadedModel, device: torch.device) -> float | None:
    """The forget probability at which a direction solver lets forgetting rest, resolved as mollm-unlearn does."""
    assert asked.direction is not None
    wanted = asked.direction.forget_target
    if asked.direction.paper or wanted is None:
        return None
    if wanted != "auto":
        return float(wanted)
    if "holdout" not in prepared.encoded:
        return None
    return mean_probability(loaded.model, prepared.encoded["holdout"], prepared.pad_id, 32, device)


def looks_of(records: Sequence[Mapping[str, Any]]) -> list[Look]:
    """The records of the loop that hold an evaluation, with its columns."""
    prefix = "evaluation."
    return [
        {"step": float(record["step"])} | {k.removeprefix(prefix): v for k, v in record.items() if k.startswith(prefix)}
        for record in records
        if any(key.startswith(prefix) for key in record)
    ]


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
