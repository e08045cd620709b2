"""An estimate of a training's time: three steps on the real rows and a model of the same shape with random weights."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mollm_cli.configuration.request import TrainRequest
from mollm_cli.engine.stopping import rules
from mollm_cli.models.load_model import load_model
from mollm_cli.models.trainable import restrict
from mollm_cli.run.prepare import Prepared
from mollm_cli.run.run_reference import References
from mollm_cli.run.training import Evaluator, build_stepper, build_stream
from mollm_cli.run.training_set import TrainingSet

STEPS = 3


def timed(request: TrainRequest, plan: TrainingSet, prepared: Prepared, device: torch.device) -> dict[str, Any]:
    """seconds_per_step (the median of STEPS), seconds_per_evaluation, and the hours of all of them together.

    hours = (steps * seconds_per_step + evaluations * seconds_per_evaluation) / 3600. Weights come from the seed and
    nothing is written: no cache outlives the call. What stops a run early is not foreseen.
    """
    engine, optimizer = request.engine, request.optimizer
    random = replace(request.model, weights="random", adapter_path=None)
    request = replace(request, model=random)
    loaded = load_model(random, request.seed, prepared.tokenizer)
    restrict(loaded.model, plan.loss)
    loaded.model.to(device)
    streams = {role: build_stream(plan, role, request, prepared) for role in plan.rows}
    unkept = replace(prepared, loaded={name: replace(rows, cache=False) for name, rows in prepared.loaded.items()})
    reference = References(request, plan, unkept, streams, STEPS, Path(), lambda text: None).of(loaded.model, device)
    stepper = build_stepper(request, plan, loaded, None, reference)
    steps = rules(engine, streams[plan.leader].count, None).total_steps

    def step(k: int) -> None:
        batches = {
            role: [batch.to(device) for batch in stream.batches(k, engine.rows)] for role, stream in streams.items()
        }
        stepper(batches, optimizer.rate(k + 1, steps), k % engine.log_every == 0)

    seconds = statistics.median(_seconds(step, k, device) for k in range(STEPS))
    looks = 0 if engine.evaluate_every is None else 1 + -(-steps // engine.evaluate_every)
    evaluator = Evaluator(loaded.model, prepared, engine.evaluate_limit, request.evaluation.batch_size, device)
    look = _seconds(lambda k: evaluator(), 0, device) if looks else 0.0
    return {
        "steps": steps,
        "seconds_per_step": seconds,
        "evaluations": looks,
        "seconds_per_evaluation": look,
        "hours": (steps * seconds + looks * look) / 3600,
    }


def _seconds(work: Callable[[int], object], k: int, device: torch.device) -> float:
    began = time.perf_counter()
    work(k)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
