"""The engine, put together for one request."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from mollm_cli.configuration.request import TrainRequest
from mollm_cli.core.doing import Watcher, doing, watcher
from mollm_cli.core.errors import InterruptionError
from mollm_cli.core.manifest import Manifest
from mollm_cli.core.types import COUNTERFACTUAL, Encoded, Loss
from mollm_cli.core.world import ALONE, World, after_first
from mollm_cli.data.batches import Joined, Stream
from mollm_cli.data.order import common_lengths
from mollm_cli.engine.batch_losses import role_groups
from mollm_cli.engine.loop import Hooks, Outcome, train
from mollm_cli.engine.micro_batches import MicroBatches
from mollm_cli.engine.pace import Pace
from mollm_cli.engine.selection import History, Selection
from mollm_cli.engine.step import Stepper
from mollm_cli.engine.stopping import rules
from mollm_cli.evaluation.teacher_forcing import mean_probability
from mollm_cli.evaluation.work_sharing import ONE_PROCESS, WorkSharing
from mollm_cli.gradients.trained import Trained
from mollm_cli.models.compilation import compile_layers
from mollm_cli.models.load_model import LoadedModel, load_model
from mollm_cli.models.reference import Reference
from mollm_cli.models.sharding import gathered
from mollm_cli.optimizers.updates import updates_plainly
from mollm_cli.resume.resume_points import ResumePoints, recorded
from mollm_cli.run.context import Context
from mollm_cli.run.evidence import plain_model
from mollm_cli.run.inputs import inputs
from mollm_cli.run.logs import Logs, NoLogs, agreed, followed
from mollm_cli.run.nothing_to_forget import OF, ForgetTarget, require_something, standing
from mollm_cli.run.prepare import Prepared
from mollm_cli.run.run_reference import References
from mollm_cli.run.training_set import TrainingSet


class Evaluator:
    """Progress evaluations: the mean answer probability on a fixed sample of forget and retain rows."""

    def __init__(
        self,
        model: Any,
        prepared: Prepared,
        limit: int,
        batch_size: int,
        device: torch.device,
        sharing: WorkSharing = ONE_PROCESS,
    ) -> None:
        self.sharing = sharing
        self.model, self.prepared = model, prepared
        self.samples = {role: prepared.sample(role, limit) for role in ("forget", "retain") if role in prepared.encoded}
        self.batch_size, self.device = batch_size, device

    def __call__(self) -> dict[str, float]:
        """forget_probability and retain_probability now."""
        with doing("measuring", sum(map(len, self.samples.values()))):
            return {f"{role}_probability": self.probability(rows) for role, rows in self.samples.items()}

    def probability(self, rows: list[Encoded]) -> float:
        """Mean over ``rows`` of exp(mean token log p)."""
        return mean_probability(self.model, rows, self.prepared.pad_id, self.batch_size, self.device, self.sharing)


def forget_target(
    plan: TrainingSet,
    prepared: Prepared,
    evaluator: Evaluator,
    progress: Watcher,
    manifest: Manifest,
    scored: Mapping[str, float],
) -> ForgetTarget | None:
    """The forget target; "auto" is measured here. Says where the forget rows stand."""
    wanted = plan.direction.forget_target
    if wanted is None or plan.direction.paper:
        return None
    target = _measured(prepared, evaluator, scored) if wanted == "auto" else ForgetTarget(wanted, "said")
    if target is None:
        return None
    now = evaluator.probability(evaluator.samples["forget"])
    whose = "" if target.of == "said" else f", {OF[target.of]}"
    progress.message(f"forget target: probability {target.probability:.4f}{whose} (forget rows now: {now:.4f})")
    manifest.set(forget_target=target.probability, forget_target_of=target.of)
    return target


def _measured(prepared: Prepared, evaluator: Evaluator, scored: Mapping[str, float]) -> ForgetTarget | None:
    """The probability that a model which never saw the forget rows gives them, as near as it can be known here."""
    if "holdout" in prepared.encoded:
        return ForgetTarget(evaluator.probability(prepared.encoded["holdout"]), "holdout")
    if "oracle" in scored:
        return ForgetTarget(scored["oracle"], "oracle")
    if COUNTERFACTUAL in prepared.encoded:
        return ForgetTarget(evaluator.probability(prepared.encoded[COUNTERFACTUAL]), COUNTERFACTUAL)
    return None


def selection(
    request: TrainRequest, prepared: Prepared, target: float | None, progress: Watcher, device: torch.device
) -> Selection:
    """engine.keep with the forget probability that it looks for; the oracle's is measured here, on the same rows."""
    engine, path = request.engine, request.evaluation.oracle
    if engine.keep != "yardstick" or path is None:
        return Selection(engine.keep, target, floor=engine.retain_floor)
    oracle = load_model(plain_model(path, request.model), request.seed).model.to(device)
    rows = prepared.sample("forget", engine.evaluate_limit)
    mark = mean_probability(oracle, rows, prepared.pad_id, request.evaluation.batch_size, device)
    progress.message(f"yardstick: the oracle's forget probability is {mark:.4f} on the rows of progress evaluations")
    return Selection(engine.keep, mark, "the oracle's", engine.retain_floor)


def run_training(
    context: Context[TrainRequest],
    plan: TrainingSet,
    prepared: Prepared,
    loaded: LoadedModel,
    device: torch.device,
    sharing: WorkSharing = ONE_PROCESS,
    scored: Mapping[str, float] = MappingProxyType({}),
) -> Outcome:
    """Train ``loaded.model`` in place, to the weights that engine.keep chooses; writes train.jsonl and resume/.

    scored: the forget probability by moment, so far. Raises NothingToForgetError, and whatever ``train`` raises.
    """
    request, run_dir, manifest, signals = context.request, context.run_dir, context.manifest, context.signals
    engine, optimizer, world = request.engine, request.optimizer, sharing.world
    evaluator = Evaluator(loaded.model, prepared, engine.evaluate_limit, request.evaluation.batch_size, device, sharing)
    progress = watcher()
    rests_at = forget_target(plan, prepared, evaluator, progress, manifest, scored)
    target = None if rests_at is None else rests_at.probability
    _require_something(context, plan, rests_at, lambda: evaluator.probability(prepared.encoded["forget"]), scored)
    streams = {role: build_stream(plan, role, request, prepared) for role in plan.rows}
    limits = rules(engine, streams[plan.leader].count, target, plan.direction.holds(plan.solver))
    references = References(request, plan, prepared, streams, limits.total_steps, run_dir, progress.message)
    with contextlib.nullcontext() if sharing.together else after_first(world):
        reference = references.of(loaded.model, device)
    stepper = build_stepper(request, plan, loaded, target, reference, world)
    manifest.set(reference=reference.facts)
    history = History(selection(request, prepared, target, progress, device), target=target)
    pieces = MicroBatches.of(engine, progress.message)
    noted = inputs(run_dir, request, plan, prepared, loaded.files)
    points = ResumePoints(
        run_dir / "resume", stepper, history, noted, pieces, progress.message, total=limits.total_steps
    )
    start = points.load()
    for line in _said_of_start(start, points, optimizer.schedule):
        progress.message(line)
    logs = Logs(run_dir, request.tracker, start, progress, updates_plainly(optimizer)) if world.first else NoLogs()
    points.settle_log, signalled = logs.settle, agreed(signals, world)
    around = Hooks(evaluator, logs.write, points.save, signalled, points.keep, logs.broken)
    with followed(logs, signals), doing("training", limits.total_steps, start, "step"):
        outcome = train(stepper, streams, engine, optimizer, limits, history, around, device, start, pieces)
        points.save(outcome.steps)
    if (code := signalled()) is not None:  # it came when the last step had been looked at
        raise InterruptionError(f"interrupted after step {outcome.steps}", code)
    points.settle(outcome.steps)
    told = history.told(outcome.steps)
    progress.message(f"kept: step {told['step']}, {told['because']}")
    manifest.set(selection=told)
    return outcome


def _require_something(
    context: Context[TrainRequest],
    plan: TrainingSet,
    target: ForgetTarget | None,
    forget: Callable[[], float],
    scored: Mapping[str, float],
) -> None:
    """Refuse a run that has nothing to forget; one that has taken steps was found to have something, or was forced."""
    force = context.request.force or bool(recorded(context.run_dir / "resume"))
    found = standing(target, forget, scored) if "forget" in plan.loss.roles else None
    require_something(found, force, partial(print, file=sys.stderr), context.manifest.set)


def _said_of_start(start: int, points: ResumePoints, schedule: str) -> Iterator[str]:
    """Notes on where a run goes on, and that its learning rates no longer follow the length that it had."""
    if start:
        yield f"going on after step {start}"
    former, now = points.former_total, points.total
    if start and former != now and schedule != "constant":
        yield (
            f"warning: optimizer.schedule={schedule} was that of {former} steps so far and is that of {now} from here "
            f"on: a run of {now} steps from the start would have had other rates"
        )


def saved(loaded: LoadedModel, folder: Path, world: World, prepared: Prepared) -> None:
    """Write the checkpoint, once; afterwards every process may read it."""
    from mollm_cli.models.save import save_checkpoint

    model = gathered(loaded.model)
    if world.first:
        save_checkpoint(replace(loaded, model=model), folder, prepared.ends)
    world.barrier()


def build_stepper(
    request: TrainRequest,
    plan: TrainingSet,
    loaded: LoadedModel,
    target: float | None,
    reference: Reference,
    world: World = ALONE,
) -> Stepper:
    """Everything a step needs; ``reference`` is of the model before a resume point is put back."""
    engine, optimizer, model = request.engine, request.optimizer, loaded.model
    if engine.compile:
        compile_layers(model)
    trained = Trained.of(model, world)
    return Stepper(
        model,
        reference,
        plan.loss,
        plan.solver,
        plan.direction,
        optimizer.build(trained.parameters),
        target,
        engine.clip_norm,
        engine.precision == "bf16",
        trained=trained,
        pace=pace(optimizer, plan.loss),
    )


def pace(optimizer: Any, loss: Loss) -> Pace | None:
    """The pace of lr=auto; None where a rate was given, or where no objective tells how far the model has drifted."""
    auto = getattr(optimizer, "lr", None) == "auto" and any(o.divergence for o in loss.objectives)
    return Pace(optimizer.drift) if auto else None


def build_stream(plan: TrainingSet, role: str, request: TrainRequest, prepared: Prepared) -> Stream:
    """The endless stream of one role's rows."""
    size, shares, seed, pad_id = request.engine.batch_size, plan.shares[role], request.seed, prepared.pad_id
    rows, share = plan.beside.get(role, ([], 0.0))
    # At least one row of either kind, where there is room for both.
    count = min(max(1, round(share * size)), size - 1) if rows and share > 0 else 0
    own = Stream(plan.rows[role], size - count, seed, pad_id, _common_lengths(plan, role), shares=shares)
    return Joined(own, Stream(rows, count, seed, pad_id)) if count else own


def _common_lengths(plan: TrainingSet, role: str) -> list[int] | None:
    """One length a row for roles that are read row by row together, so that they are passed in one order."""
    together = next(roles for _, roles in role_groups(plan.loss.objectives) if role in roles)
    if len(together) == 1:
        return None
    return common_lengths(*([len(row.input_ids) for row in plan.rows[name]] for name in together))
