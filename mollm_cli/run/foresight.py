"""The plan of a request: its rows and settings turned into sizes, estimated, shown and held against the device."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from mollm_cli.configuration.request import Request, TrainRequest
from mollm_cli.core.doing import doing
from mollm_cli.core.errors import RequestError
from mollm_cli.core.shared import sharing
from mollm_cli.data.pairing import mixture
from mollm_cli.engine.device import peak_memory_bytes, pick
from mollm_cli.engine.stopping import rules
from mollm_cli.evaluation.measuring import measured
from mollm_cli.evaluation.metric_plan import needs_by_set
from mollm_cli.planning import plan_table
from mollm_cli.planning.assumed import assumed
from mollm_cli.planning.blueprint import architecture, here, shipped
from mollm_cli.planning.estimate import estimate
from mollm_cli.planning.memory_plan import MemoryPlan
from mollm_cli.planning.remedies import Remedy, low_rank, remedy, smaller_micro_batch
from mollm_cli.planning.sizes import Scoring, Sizes, scoring_shape, training_shape
from mollm_cli.reporting.console import stderr_console
from mollm_cli.reporting.formatting import size
from mollm_cli.reporting.screen import shown
from mollm_cli.run.generated import Answers
from mollm_cli.run.prepare import Prepared, prepare
from mollm_cli.run.run_reference import References
from mollm_cli.run.timing import timed
from mollm_cli.run.training import build_stream
from mollm_cli.run.training_set import TrainingSet

WORTH = 0.9
"""Share of the peak that a change must come down to, to be worth a line."""
FEW_ROWS = 100
"""Forget rows of which low-rank matrices learn as much as all weights would."""


def sizes(request: TrainRequest, plan: TrainingSet, prepared: Prepared, device: str, base: int = 0) -> Sizes:
    """The memory plan of ``request``. base: bytes of the process itself.

    Raises RequestError where the model's config.json cannot be read.
    """
    engine, optimizer, loss = request.engine, request.optimizer, plan.loss
    streams = {role: build_stream(plan, role, request, prepared) for role in loss.roles}
    steps = rules(engine, streams[plan.leader].count, None).total_steps
    shapes = {role: training_shape(stream, engine, steps, loss.compares(role)) for role, stream in streams.items()}
    kind = References(request, plan, prepared, streams, steps, Path(), lambda text: None).kind
    scoring = _scoring(request, prepared)
    config = architecture(request.model)
    return Sizes(
        request.model, config, loss, plan.solver, plan.direction, optimizer, engine, shapes, scoring, kind, device, base
    )


def _scoring(request: Request, prepared: Prepared) -> Scoring:
    suite, oracle = request.evaluation, request.evaluation.oracle is not None
    rows = suite.rows(prepared.sets)
    needs = set().union(*needs_by_set(measured(suite, prepared.sets, oracle), rows).values())
    answers = [2 + len(row.perturbed_answers) if "perturbed" in needs else 1 for some in rows.values() for row in some]
    attacked = max((_models_attacked(attack) for attack in suite.attacks.values()), default=0)
    asked = Scoring(suite.batch_size, 0, 0, suite.generate_tokens, 1 + oracle, "gradient_norm" in needs, attacked)
    return scoring_shape([some[: suite.limit] for some in prepared.encoded.values()], max(answers, default=1), asked)


def _models_attacked(attack: Any) -> int:
    """The multiple of the weights that an attack holds; one that trains has a gradient and two moments beside them."""
    return {"comparison": 2, "weights": 4 if hasattr(attack, "steps") else 1}.get(attack.kind, 0)


def require_room(given: Sizes, found: MemoryPlan, free: int | None) -> None:
    """Raise RequestError with the change that alters the result least, where the plan does not fit."""
    if free is None or found.peak.size <= free:
        return
    with sharing(), doing("looking for the least change that fits"):
        less = remedy(given, free)
    if less is None:
        advice = "No setting of this tool makes it fit: take a smaller model or a larger device"
    else:
        advice = f"The smallest change that fits: {' '.join(less.overrides)} ({size(less.peak)})"
    raise RequestError(
        f"a run must fit into what the device has free, {size(free)}; found {size(found.peak.size)} at the peak of "
        f"'{found.peak.name}'. {advice}"
    )


def before_loading(
    request: TrainRequest, plan: TrainingSet, prepared: Prepared, device: torch.device
) -> dict[str, Any] | None:
    """Plan a run on CUDA unasked: say the peak, and refuse a run that does not fit; returns what the manifest keeps.

    Where no plan can be made that is said, and the run goes on (None).
    """
    if device.type != "cuda":
        return None
    given = sizes(request, plan, prepared, device.type)
    try:
        found = estimate(given)
    except RequestError as unknown:
        print(f"there is no memory plan: {unknown}", file=sys.stderr)
        return None
    data = plan_table.as_data(found, device, given.processes)
    free = data["device"]["free_bytes"]
    print(plan_table.verdict(data), file=sys.stderr)
    require_room(given, found, free)
    return {"peak_bytes": found.peak.size, "phase": found.peak.name, "free_bytes": free}


def foretell(
    request: TrainRequest, planned: Callable[[TrainRequest, Prepared], TrainingSet], hours: bool
) -> dict[str, Any]:
    """``--plan``: memory and disk; with ``hours`` also the time that three steps with random weights speak for.

    The table goes to stderr; returns the same as data. After the table an interruption leaves out what is not found
    yet. Raises RequestError where the run would not fit, or cannot be planned.
    """
    device = pick(request.engine.device)
    with shown(), doing("reading the rows"):
        prepared, why = _rows(request)
    plan = planned(request, prepared)
    own = peak_memory_bytes(device) if device.type == "cpu" else 0
    with shown(), doing("planning the memory: a step and an evaluation without weights"):
        given = sizes(request, plan, prepared, device.type, own)
        found = estimate(given)
    data = plan_table.as_data(found, device, given.processes, own) | {"assumed": why, "remedies": []}
    console = stderr_console()
    plan_table.show(data, console)
    with shown():
        require_room(given, found, data["device"]["free_bytes"])
    few = len(prepared.encoded.get("forget", ())) < FEW_ROWS
    try:
        with shown():
            less = cheaper(given, found, few)
        data["remedies"] = [{"overrides": list(each.overrides), "peak_bytes": each.peak} for each in less]
        if hours and (reason := _untimed(request, given, why)) is not None:
            console.print(f"training: no time is measured, {reason}")
        elif hours:
            with shown(), doing("timing three steps with random weights (Ctrl-C leaves them out)"):
                data["training"] = timed(request, plan, prepared, device)
            console.print(plan_table.hours(data["training"]))
    except KeyboardInterrupt:
        console.print("interrupted: what was found until now is above")
    return data


def cheaper(given: Sizes, found: MemoryPlan, few: bool) -> list[Remedy]:
    """Advice for a run on a CPU, or one that forgets few rows, which may do with less; nothing if it already does."""
    if given.device != "cpu" and not few:
        return []
    for change in (low_rank, smaller_micro_batch):
        overrides, changed = next(change(given), ((), given))
        if not overrides:
            continue
        with doing(f"planning it with {' '.join(overrides)} (Ctrl-C leaves it out)"):
            peak = estimate(changed).peak.size
        if peak <= WORTH * found.peak.size:
            return [Remedy(overrides, peak)]
    return []


def _untimed(request: Request, given: Sizes, why: str | None) -> str | None:
    """Why a step cannot be timed here; None where it can."""
    if given.processes > 1:
        return "steps of one process do not speak for several"
    if request.model.adapter == "qlora":
        return "random weights cannot be quantised"
    return None if why is None else why


def _rows(request: Request) -> tuple[Prepared, str | None]:
    """The rows of a request, and what was assumed of them where the model's files or the rows are not here."""
    if here(request.model) or request.model.path not in shipped():
        return prepare(request, "nothing"), None
    with contextlib.suppress(RequestError):
        return prepare(request, "nothing"), None
    rows = assumed(request.data, request.seed, Answers(request, None, "nothing"))
    print(f"warning: {rows.why}", file=sys.stderr)
    nobody = SimpleNamespace(eos_token_id=0, pad_token_id=0)
    return Prepared(nobody, rows.loaded, rows.encoded, mixture(request.data)), rows.why
