"""The memory plan of a request: made before a weight is loaded, shown, held against the device, timed on request."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from mollm_cli.configuration.request import Request
from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Encoded
from mollm_cli.engine import planner
from mollm_cli.engine.capacity import device_name, free_bytes
from mollm_cli.engine.device import pick
from mollm_cli.engine.facts import Asking, Facts, Shape
from mollm_cli.engine.remedies import remedy
from mollm_cli.engine.terms import Phase, Term
from mollm_cli.models.blueprint import architecture
from mollm_cli.reporting import plan as told
from mollm_cli.reporting.console import stderr_console
from mollm_cli.reporting.formatting import size
from mollm_cli.run.prepare import Prepared, prepare
from mollm_cli.run.run_reference import References
from mollm_cli.run.timing import timed
from mollm_cli.run.training_set import TrainingSet


def facts(request: Request, plan: TrainingSet, prepared: Prepared, device: str) -> Facts:
    """What ``request`` comes to as far as memory goes. Raises RequestError where its config.json cannot be read."""
    engine, optimizer, loss = request.engine, request.optimizer, plan.loss
    assert engine is not None and optimizer is not None
    own = -(-engine.batch_size // (engine.processes or 1))
    rows = 1 if engine.micro_batch == "auto" else min(engine.rows, own)
    shapes = {role: shape(plan.rows[role], rows, loss.compares(role)) for role in loss.roles}
    suite = request.evaluation
    longest = [max(map(_length, each)) for each in prepared.encoded.values() if each]
    targets = [max(row.targets for row in each) for each in prepared.encoded.values() if each]
    asking = Asking(
        suite.batch_size,
        max(longest),
        suite.batch_size * max(targets),
        suite.generate_tokens,
        1 if suite.oracle is None else 2,
    )
    kind = References(request, plan, prepared, {}, 0, Path(), print).kind
    config = architecture(request.model)
    return Facts(
        request.model, config, loss, plan.solver, plan.direction, optimizer, engine, shapes, asking, kind, device
    )


def shape(rows: Sequence[Encoded], micro_batch: int, compared: bool) -> Shape:
    """The largest micro-batch that ``rows`` can make: the longest of them; fewer than it holds come again."""
    longest = sorted(rows, key=_length, reverse=True)
    picked = [longest[k % len(longest)] for k in range(micro_batch)]
    lengths = [_length(row) for row in picked]
    stored = sum(row.targets for row in rows) if compared else 0
    return Shape(micro_batch, lengths[0], sum(row.targets for row in picked), len(set(lengths)) > 1, stored)


def _length(row: Encoded) -> int:
    return len(row.input_ids)


def as_data(found: planner.Plan, device: torch.device, processes: int = 1) -> dict[str, Any]:
    """A plan as JSON has it. Of several processes on CPUs nobody knows which machine they are to share."""
    free = free_bytes(device) if device.type != "cpu" or processes == 1 else None

    def terms(given: Sequence[Term]) -> list[dict[str, Any]]:
        return [{"name": term.name, "bytes": term.size, "why": term.why} for term in given]

    def phase(given: Phase) -> dict[str, Any]:
        return {"name": given.name, "bytes": given.size, "terms": terms(given.terms)}

    return {
        "device": {"name": device_name(device), "kind": device.type, "free_bytes": free},
        "processes": processes,
        "parameters": found.parameters,
        "trained_parameters": found.trained,
        "phases": [phase(each) for each in found.phases],
        "peak_bytes": found.peak.size,
        "host": terms(found.host),
        "disk": terms(found.disk),
        "traffic": terms(found.traffic),
        "fits": None if free is None else found.peak.size <= free,
    }


def require_room(given: Facts, found: planner.Plan, data: dict[str, Any]) -> None:
    """Raise RequestError with the change that alters the result least, where the plan does not fit."""
    if data["fits"] is not False:
        return
    free = data["device"]["free_bytes"]
    less = remedy(given, free)
    if less is None:
        advice = "No setting of this tool makes it fit: take a smaller model or a larger device"
    else:
        advice = f"The smallest change that fits: {' '.join(less.overrides)} ({size(less.plan.peak.size)})"
    raise RequestError(
        f"a run must fit into what the device has free, {size(free)}; found {size(found.peak.size)} at the peak of "
        f"'{found.peak.name}'. {advice}"
    )


def before_loading(
    request: Request, plan: TrainingSet, prepared: Prepared, device: torch.device
) -> dict[str, Any] | None:
    """What a run on CUDA does unasked: plan, say the peak, refuse what does not fit; returns what the manifest keeps.

    Where no plan can be made that is said, and the run goes on (None).
    """
    if device.type != "cuda":
        return None
    given = facts(request, plan, prepared, device.type)
    try:
        found = planner.plan(given)
    except RequestError as unknown:
        print(f"there is no memory plan: {unknown}", file=sys.stderr)
        return None
    data = as_data(found, device, given.processes)
    print(told.verdict(data), file=sys.stderr)
    require_room(given, found, data)
    return {"peak_bytes": found.peak.size, "phase": found.peak.name, "free_bytes": data["device"]["free_bytes"]}


def show_plan(request: Request, planned: Callable[[Request, Prepared], TrainingSet]) -> dict[str, Any]:
    """``--plan``: memory and disk, then, where it fits, the hours that three steps with random weights speak for.

    The table goes to stderr; returns the same as data. Raises RequestError where the run would not fit, or cannot be
    planned.
    """
    assert request.engine is not None
    device = pick(request.engine.device)
    prepared = prepare(request, generate=False)
    plan = planned(request, prepared)
    given = facts(request, plan, prepared, device.type)
    found = planner.plan(given)
    data = as_data(found, device, given.processes)
    console = stderr_console()
    told.show(data, console)
    require_room(given, found, data)
    if given.processes > 1:
        console.print("training: no time is measured, steps of one process do not speak for several")
    elif request.model.adapter == "qlora":
        console.print("training: no time is measured, random weights cannot be quantised")
    else:
        console.print("training: three steps with random weights (Ctrl-C leaves them out) ...")
        data["training"] = timed(request, plan, prepared, device)
        console.print(told.hours(data["training"]))
    return data
