"""A run that is out of memory, as a message: what takes the most by the plan, and what to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from mollm_cli.configuration.request import Request, TrainRequest
from mollm_cli.core.errors import RequestError, RunError
from mollm_cli.core.faults import ON_HOST
from mollm_cli.planning.estimate import estimate
from mollm_cli.planning.memory_plan import MemoryPlan
from mollm_cli.planning.remedies import remedy
from mollm_cli.reporting.formatting import size
from mollm_cli.resume.lasting import is_free
from mollm_cli.run.foresight import sizes

TRAINING, EVALUATION = ("step", "progress evaluation"), ("evaluation",)
"""Phases of the memory plan in which a run stands when it trains, and when it judges."""
SHARE = 0.9
"""Of its planned peak: what a run is to come to that found no room where there should have been."""


@contextmanager
def explained(
    request: Request, plan: Any, prepared: Any, device: torch.device, phases: tuple[str, ...]
) -> Iterator[None]:
    """Within the block an error for want of memory becomes a RunError with the largest terms and the remedy."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        problem: BaseException = error
    else:
        return
    raise RunError(_message(request, plan, prepared, device, phases)) from problem


def is_out_of_memory(error: BaseException) -> bool:
    """True if a device, or the host, ran out of memory."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or ON_HOST in str(error)


def _message(request: Request, plan: Any, prepared: Any, device: torch.device, phases: tuple[str, ...]) -> str:
    if not isinstance(request, TrainRequest) or phases == EVALUATION:
        half = max(1, request.evaluation.batch_size // 2)
        return f"{_begun(phases, device)}. Set evaluation.batch_size={half}, then go on with resume=RUN_DIR"
    try:
        given = sizes(request, plan, prepared, device.type)
        found = estimate(given)
        less = remedy(given, int(SHARE * found.peak.size))
    except RequestError:
        return f"{_begun(phases, device)}. Set engine.micro_batch=auto, then go on with resume=RUN_DIR"
    terms = _largest(found, phases)
    if less is None:
        return (
            f"{_begun(phases, device)}; the largest terms of its plan: {terms}. "
            "End other programs on the device, or take a smaller model or a larger device"
        )
    changes = " ".join(less.overrides)
    if all(is_free(text.partition("=")[0]) for text in less.overrides):
        return (
            f"{_begun(phases, device)}; the largest terms of its plan: {terms}. "
            f"Go on with a tenth less: resume=RUN_DIR {changes}"
        )
    return (
        f"{_begun(phases, device)}; the largest terms of its plan: {terms}. "
        f"Start a new run that takes a tenth less: {changes}"
    )


def _begun(phases: tuple[str, ...], device: torch.device) -> str:
    work = "training" if phases == TRAINING else "evaluation"
    return f"the {work} must fit into the memory of {device}, found no room"


def _largest(found: MemoryPlan, phases: tuple[str, ...]) -> str:
    """The two largest terms of the largest of ``phases``."""
    phase = max((each for each in found.phases if each.name in phases), key=lambda each: each.size)
    terms = sorted(phase.terms, key=lambda term: term.size, reverse=True)[:2]
    return (
        f"{' and '.join(f'{term.name} {size(term.size)} ({term.why})' for term in terms)} at the peak of '{phase.name}'"
    )
