"""A plan as data, as people read it on stderr, and the sentence that says whether it fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from mollm_cli.planning.capacity import device_name, free_bytes
from mollm_cli.planning.memory_plan import MemoryPlan, Term
from mollm_cli.reporting.formatting import duration, size

if TYPE_CHECKING:
    from rich.console import Console


OTHERS = {"host": "main memory", "disk": "disk"}
"""Keys of a plan beside the phases."""


def as_data(found: MemoryPlan, device: torch.device, processes: int = 1, own: int = 0) -> dict[str, Any]:
    """An estimate as JSON has it. own: bytes that this process has, and that will be free for the run.

    Of several processes on CPUs nobody knows which machine they are to share.
    """
    free = free_bytes(device) if device.type != "cpu" or processes == 1 else None
    free = None if free is None else free + own

    def terms(given: Sequence[Term]) -> list[dict[str, Any]]:
        return [{"name": term.name, "bytes": term.size, "why": term.why} for term in given]

    return {
        "device": {"name": device_name(device), "kind": device.type, "free_bytes": free},
        "processes": processes,
        "parameters": found.parameters,
        "trained_parameters": found.trained,
        "phases": [{"name": each.name, "bytes": each.size, "terms": terms(each.terms)} for each in found.phases],
        "peak_bytes": found.peak.size,
        "host": terms(found.host),
        "disk": terms(found.disk),
        "fits": None if free is None else found.peak.size <= free,
    }


def show(plan: Mapping[str, Any], console: Console) -> None:
    """Print phases term by term, main memory, disk, and the verdict; ``plan`` as ``as_data`` makes it."""
    from rich.table import Table

    table = Table(title=f"Memory plan, {plan['device']['name']}", title_justify="left")
    for heading, side in (("", "left"), ("what", "left"), ("size", "right"), ("", "left")):
        table.add_column(heading, justify=side)  # type: ignore[arg-type]  # a word of rich's own list
    for phase in plan["phases"]:
        _add(table, phase["name"], phase["terms"], phase["bytes"])
    for name, shown in OTHERS.items():
        _add(table, shown, plan[name], sum(t["bytes"] for t in plan[name]))
    if console.is_terminal:
        console.print(table)
    else:
        for line in _lines(plan):
            console.print(line)
    console.print(verdict(plan))


def _add(table: Any, name: str, terms: list[Mapping[str, Any]], total: int) -> None:
    for k, term in enumerate(terms):
        table.add_row("" if k else name, term["name"], size(term["bytes"]), term["why"])
    if terms:
        table.add_row("", "together", size(total), "", end_section=True, style="bold")


def _lines(plan: Mapping[str, Any]) -> list[str]:
    """One line per term, for a log."""
    parts = [(phase["name"], term) for phase in plan["phases"] for term in phase["terms"]]
    parts += [(shown, term) for name, shown in OTHERS.items() for term in plan[name]]
    return [f"{name}: {t['name']} {size(t['bytes'])}" + (f" ({t['why']})" if t["why"] else "") for name, t in parts]


def verdict(plan: Mapping[str, Any]) -> str:
    """The sentence that says whether the largest phase fits into the free memory."""
    phase = max(plan["phases"], key=lambda each: each["bytes"])
    each = f" on each of {plan['processes']} processes" if plan["processes"] > 1 else ""
    needed = f"{size(phase['bytes'])} at the peak ({phase['name']}){each}"
    device = plan["device"]
    if device["free_bytes"] is None:
        return f"memory plan: {needed}; what {device['name']} has free is not known"
    fits = "fits" if plan["fits"] else "does not fit"
    return f"memory plan: {needed} {fits} into {size(device['free_bytes'])} free on {device['name']}"


def hours(measured: Mapping[str, Any]) -> str:
    """The sentence on the training's length, from timed steps."""
    seconds = f"{measured['steps']} steps of {measured['seconds_per_step']:.2f} s"
    looks = f", {measured['evaluations']} progress evaluations of {measured['seconds_per_evaluation']:.1f} s"
    looks = looks if measured["evaluations"] else ""
    took = duration(3600 * measured["hours"])
    return f"training: about {took} ({measured['hours']:.2f} h): {seconds}{looks}; the final evaluation comes on top"
