"""The history of a run's weights: the reason why it stopped, the weights kept, its gates, the runs before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mollm_cli.core.printable import printable
from mollm_cli.reporting.formatting import finite, label, number
from mollm_cli.reporting.run_files import Run

_STOPPED = {
    "max_steps": "all its steps were taken",
    "max_epochs": "all its epochs were done",
    "forget_target": "the forget target was reached",
    "retain_collapsed": "the retain probability fell below its floor",
    "no_improvement": "the evaluations no longer improved",
    "signal": "a signal told it to",
}


def stopped(run: Run) -> str:
    """The reason why the run stopped; "" if it is not recorded."""
    recorded = printable(run.manifest.get("stopped_because") or "", one_line=True)
    return _STOPPED.get(recorded, recorded)


def kept(run: Run) -> str:
    """The weights that the checkpoint holds, and the rule by which; "" if that is not recorded."""
    selection = run.manifest.get("selection") or {}
    if selection.get("step") is None:
        return ""
    values = [
        f"{side} probability {number(selection[key])}"
        for side in ("forget", "retain")
        if finite(selection.get(key := f"{side}_probability")) is not None
    ]
    reached = f" ({', '.join(values)})" if values else ""
    because = printable(selection.get("because") or "", one_line=True)
    rule = printable(selection.get("rule") or "", one_line=True)
    parts = (f"the weights after step {number(selection['step'])}{reached}", because, rule and f"engine.keep={rule}")
    return "; ".join(part for part in parts if part)


def gates(run: Run) -> list[dict[str, Any]]:
    """The gates with value, bound, ``held`` and, for one that did not hold, ``why``."""
    return [
        {
            "held": bool(entry.get("held")),
            **{key: number(entry.get(key)) for key in ("value", "bound")},
            **{key: printable(entry.get(key) or "", one_line=True) for key in ("gate", "why")},
        }
        for entry in run.manifest.get("gates") or ()
        if isinstance(entry, dict)
    ]


def lineage(run: Run) -> list[str]:
    """The runs that made the starting model, one line each in their order, without commands and folders."""
    return [_ancestor(entry) for entry in run.manifest.get("lineage") or () if isinstance(entry, dict)]


def _ancestor(entry: Mapping[str, Any]) -> str:
    forget = printable(entry.get("forget") or "", one_line=True)
    parts = [
        printable(entry.get("run") or "a run without a name", one_line=True),
        f"loss {label(str(entry['loss']))}" if entry.get("loss") else "",
        f"forget rows {forget[:12]}…" if forget else "",
        "its weights were changed afterwards" if entry.get("unchanged") is False else "",
    ]
    return ", ".join(part for part in parts if part)
