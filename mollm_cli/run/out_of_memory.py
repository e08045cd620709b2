"""A run that is out of memory, as a message: what takes the most by the plan, and what to change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from mollm_cli.core.errors import RequestError, RunError
from mollm_cli.core.faults import ON_HOST
from mollm_cli.planning.estimate import estimate
from mollm_cli.planning.memory_plan import MemoryPlan
from mollm_cli.planning.remedies import remedy
from mollm_cli.planning.sizes import Sizes
from mollm_cli.reporting.formatting import size
from mollm_cli.resume.lasting import is_free

PHASES = ("step", "progress evaluation")
"""Phases of the memory plan in which a run stands when it trains."""
SHARE = 0.9
"""The part of its planned peak that a run is to come to, if it found no room where there should have been."""


def training(device: torch.device, planned: Callable[[], Sizes]) -> AbstractContextManager[None]:
    """Within the block an error for want of memory becomes a RunError with the largest terms and the remedy."""
    return _explained("training", device, lambda: _advice(planned))


def judging(device: torch.device, batch_size: int) -> AbstractContextManager[None]:
    """Within the block an error for want of memory becomes a RunError that halves evaluation.batch_size."""
    advice = f". Set evaluation.batch_size={max(1, batch_size // 2)}, then go on with resume=RUN_DIR"
    return _explained("evaluation", device, lambda: advice)


@contextmanager
def _explained(work: str, device: torch.device, advice: Callable[[], str]) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        problem: BaseException = error
    else:
        return
    raise RunError(f"the {work} must fit into the memory of {device}, found no room{advice()}") from problem


def is_out_of_memory(error: BaseException) -> bool:
    """True if a device, or the host, ran out of memory."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or ON_HOST in str(error)


def _advice(planned: Callable[[], Sizes]) -> str:
    try:
        given = planned()
        found = estimate(given)
        less = remedy(given, int(SHARE * found.peak.size))
    except RequestError:
        return ". Set engine.micro_batch=auto, then go on with resume=RUN_DIR"
    terms = f"; the largest terms of its plan: {_largest(found)}"
    if less is None:
        return f"{terms}. End other programs on the device, or take a smaller model or a larger device"
    changes = " ".join(less.overrides)
    if all(is_free(text.partition("=")[0]) for text in less.overrides):
        return f"{terms}. Go on with a tenth less: resume=RUN_DIR {changes}"
    return f"{terms}. Start a new run that takes a tenth less: {changes}"


def _largest(found: MemoryPlan) -> str:
    """The two largest terms of the largest of PHASES."""
    phase = max((each for each in found.phases if each.name in PHASES), key=lambda each: each.size)
    terms = sorted(phase.terms, key=lambda term: term.size, reverse=True)[:2]
    return (
        f"{' and '.join(f'{term.name} {size(term.size)} ({term.why})' for term in terms)} at the peak of '{phase.name}'"
    )
