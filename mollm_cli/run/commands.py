"""The commands: unlearn, finetune, evaluate, check."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mollm_cli.configuration.request import EvaluateRequest, Request, TrainRequest
from mollm_cli.core.doing import doing
from mollm_cli.core.importing import importing
from mollm_cli.core.manifest import Manifest
from mollm_cli.core.seeding import seed_everything
from mollm_cli.core.shared import sharing
from mollm_cli.core.world import World, after_first
from mollm_cli.reporting.screen import shown
from mollm_cli.run.context import Context


def unlearn(context: Context[TrainRequest]) -> None:
    """Move a model away from the forget rows."""
    from mollm_cli.run.training_set import unlearning_set

    with shown(context.world.first):
        ending = _trained(context, unlearning_set)
    ending()


def finetune(context: Context[TrainRequest]) -> None:
    """Fine-tune a model on the rows of ``train``."""
    from mollm_cli.run.training_set import finetuning_set

    with shown(context.world.first):
        ending = _trained(context, finetuning_set)
    ending()


def _trained(context: Context[TrainRequest], planned: Callable[..., Any]) -> Callable[[], None]:
    """Prepare, judge the start, train, save, judge what is on disk; returns how it is told, and the gates are held."""
    from mollm_cli.engine.device import give_memory_back, pick
    from mollm_cli.models.load_model import fingerprint, source
    from mollm_cli.run.evidence import Evidence, plain_model
    from mollm_cli.run.foresight import before_loading, sizes
    from mollm_cli.run.out_of_memory import judging, training
    from mollm_cli.run.training import run_training, saved

    request, run_dir, manifest = context.request, context.run_dir, context.manifest
    seed_everything(request.seed)
    device, world = _placed(pick(request.engine.device), context.world)
    _check_machine(request, device)
    prepared, plan = _prepared(request, run_dir, world, planned)
    there = replace(request, engine=replace(request.engine, processes=world.size))
    foreseen = before_loading(there, plan, prepared, device)
    manifest.set(device=str(device), processes=world.size, **({"memory_plan": foreseen} if foreseen else {}))
    with after_first(world), doing("loading the model"):
        loaded = _loaded(request, plan, prepared, run_dir, manifest)
    batch_size, planned_sizes = request.evaluation.batch_size, partial(sizes, there, plan, prepared, device.type)
    with judging(device, batch_size):
        evidence = Evidence(request, prepared, run_dir, device, manifest, world)
        evidence.place(loaded.model)
        evidence.score_oracle()
        evidence.score("before", loaded)
        start = evidence.remember(loaded.model)
    seed_everything(request.seed)
    with training(device, planned_sizes):
        outcome = run_training(context, plan, prepared, loaded, device, evidence.sharing, evidence.forgetting)
    give_memory_back()  # of gradients and activations; what comes now needs other sizes
    with doing("saving the checkpoint"):
        saved(loaded, run_dir / "checkpoint", world, prepared)
    del loaded
    give_memory_back()
    written = plain_model(str(run_dir / "checkpoint"), request.model)
    manifest.set(
        stopped_because=outcome.stopped_because,
        steps=outcome.steps,
        tokens_per_second=round(outcome.tokens_per_second, 1),
        checkpoint={"files": fingerprint(source(written))},
    )
    with judging(device, batch_size):
        drift = evidence.score_folder("after", written, start)
        record = evidence.record(request.model, written, drift)
    return partial(_end, request, run_dir, record, manifest, world, device)


def _prepared(request: TrainRequest, run_dir: Path, world: World, planned: Callable[..., Any]) -> tuple[Any, Any]:
    """Rows and plan; what a resume point notes is compared first, for a tokenizer may run code, and with the rows."""
    from mollm_cli.run.inputs import require_recorded
    from mollm_cli.run.prepare import prepare

    require_recorded(run_dir, request)
    with after_first(world), doing("reading the rows"):
        prepared = prepare(request)
    plan = planned(request, prepared)
    require_recorded(run_dir, request, plan, prepared)
    return prepared, plan


def _end(
    request: Request, run_dir: Path, record: dict[str, Any], manifest: Manifest, world: World, device: Any
) -> None:
    """Tell what a run came to, and hold its gates. Raises GateError where one is not held."""
    from mollm_cli.engine.device import peak_memory_bytes
    from mollm_cli.run.evidence import hold_gates, publish

    manifest.set(peak_memory_bytes=max(world.everyones(peak_memory_bytes(device))))
    if world.first:
        checkpoint = run_dir / "checkpoint"
        publish(run_dir, record, checkpoint if checkpoint.is_dir() else None)
    hold_gates(request, record, manifest)


def _placed(device: Any, world: World) -> tuple[Any, World]:
    """The device of this process, and its world, whose sums are made there."""
    from mollm_cli.engine.device import device_of

    own = device_of(world, device)
    return own, replace(world, device=str(own))


def _loaded(request: TrainRequest, plan: Any, prepared: Any, run_dir: Path, manifest: Manifest) -> Any:
    """The model to train, on the CPU.

    Raises RequestError where its context or the disk is too small, or where no checkpoint of it could be written.
    """
    from mollm_cli.models.load_model import load_model
    from mollm_cli.models.save import rehearse_saving
    from mollm_cli.models.trainable import restrict
    from mollm_cli.run.prepare import check_context, check_disk

    loaded = load_model(request.model, request.seed, prepared.tokenizer)
    check_context(prepared, loaded.model, request.model.path)
    restrict(loaded.model, plan.loss)
    rehearse_saving(loaded)
    manifest.set(dtype=request.model.dtype, **_inputs(request, prepared, loaded))
    _trace(request, manifest, loaded.files)
    sizes = [p.numel() * p.element_size() for p in loaded.model.parameters()]
    trainable = [p.numel() * p.element_size() for p in loaded.model.parameters() if p.requires_grad]
    check_disk(run_dir, sum(sizes), sum(trainable))
    return loaded


def _check_machine(request: TrainRequest, device: Any) -> None:
    """Refuse an optimizer or a compilation that this machine has not got what it takes for."""
    from mollm_cli.models.compilation import check_compiler
    from mollm_cli.optimizers.eight_bit import AdamW8bit

    if isinstance(request.optimizer, AdamW8bit):
        request.optimizer.check(device)
    if request.engine.compile:
        check_compiler()


def evaluate(context: Context[EvaluateRequest]) -> None:
    """Judge a model as it is."""
    with shown(context.world.first):
        ending = _evaluated(context)
    ending()


def _evaluated(context: Context[EvaluateRequest]) -> Callable[[], None]:
    from mollm_cli.engine.device import pick
    from mollm_cli.models.load_model import commit, fingerprint, source
    from mollm_cli.run.evidence import Evidence, plain_model
    from mollm_cli.run.out_of_memory import judging
    from mollm_cli.run.prepare import prepare

    request, run_dir, manifest = context.request, context.run_dir, context.manifest
    seed_everything(request.seed)
    device, world = _placed(pick("auto"), context.world)
    with after_first(world), doing("reading the rows"):
        prepared = prepare(request)
    manifest.set(device=str(device), dtype=request.model.dtype, **_datasets(prepared))
    path, revision = source(request.model), request.model.revision
    files = fingerprint(path, revision)
    manifest.set(model={"path": request.model.path, "commit": commit(path, revision), "files": files})
    _trace(request, manifest, files)
    start = None if request.evaluation.start is None else plain_model(request.evaluation.start, request.model)
    evidence = Evidence(request, prepared, run_dir, device, manifest, world)
    with judging(device, request.evaluation.batch_size):
        evidence.score_oracle()
        if start is not None and prepared.attacked:
            evidence.score_folder("start", start)
        evidence.score_folder("after", request.model)
        record = evidence.record(start, request.model)
    return partial(_end, request, run_dir, record, manifest, world, device)


def _trace(request: Request, manifest: Manifest, files: Sequence[dict[str, Any]]) -> None:
    """The runs behind the model into the manifest, with a word where its weights are not the last one's."""
    from mollm_cli.run.lineage import lineage, warning

    runs = lineage(request.model.path, files)
    manifest.set(lineage=runs)
    if message := warning(runs):
        print(message, file=sys.stderr)


def _datasets(prepared: Any) -> dict[str, Any]:
    return {
        "datasets": {name: rows.fingerprint for name, rows in prepared.loaded.items()},
        "content": {name: rows.content for name, rows in prepared.loaded.items()},
    }


def _inputs(request: Request, prepared: Any, loaded: Any) -> dict[str, Any]:
    parameters = list(loaded.model.parameters())
    model = {
        "path": request.model.path,
        "commit": loaded.commit,
        "files": loaded.files,
        "parameters": sum(p.numel() for p in parameters),
        "trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
        "adapter": request.model.adapter,
    }
    return {"model": model, **_datasets(prepared)}


def plan(request: TrainRequest, command: str, hours: bool = False) -> dict[str, Any]:
    """Say what a training will hold and write, before its weights are loaded; nothing is made on disk.

    command: "unlearn" or "finetune". hours: whether steps are timed too. Returns what was said, as JSON has it.
    Raises RequestError where it would not fit.
    """
    with importing():
        from mollm_cli.run.foresight import foretell
        from mollm_cli.run.training_set import finetuning_set, unlearning_set

    seed_everything(request.seed)
    return foretell(request, finetuning_set if command == "finetune" else unlearning_set, hours)


def check(requests: Sequence[Request]) -> None:
    """Go through files and tokenizer without a model: rows per role, three of them decoded, targets marked.

    What several jobs of a sweep have alike is read once, and shown once. Rows are shown before anything is refused
    that is not about them. Raises RequestError.
    """
    from mollm_cli.run.check_screen import screen
    from mollm_cli.run.prepare import read_rows, require_in_order
    from mollm_cli.run.training_set import training_set

    shown: list[dict[str, Any]] = []
    with sharing():
        for request in requests:
            prepared = read_rows(request, "kept")
            rows = {role: loaded.fingerprint for role, loaded in prepared.loaded.items()}
            if rows not in shown:
                shown.append(rows)
                for line in screen(prepared, request.evaluation.keep_text):
                    print(line, file=sys.stderr)
            require_in_order(request, prepared)
            if isinstance(request, TrainRequest):
                training_set(request, prepared)
    what = "the request is" if len(requests) == 1 else f"the requests of {len(requests)} jobs are"
    print(f"{what} in order; no model was loaded", file=sys.stderr)
