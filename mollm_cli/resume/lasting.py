"""The keys that must keep their value when a run goes on, and those that need not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mollm_cli.core.errors import RequestError
from mollm_cli.core.secrets import HIDDEN

FREE: Mapping[str, str] = {
    "engine.max_steps": "more steps may follow; fewer than were taken are refused when the point is read",
    "engine.max_epochs": "as engine.max_steps",
    "engine.evaluate_every": "when a run is looked at",
    "engine.checkpoint_every": "when it is saved",
    "engine.log_every": "what is written down of it",
    "engine.stop_at_target": "when it ends",
    "engine.retain_floor": "when it ends",
    "engine.patience": "when it ends",
    "engine.keep": "which of its evaluations becomes the checkpoint",
    "engine.micro_batch": "the same sums in other pieces: what a run needs that had no room",
    "engine.device": "the same sums on another machine",
    "engine.compile": "the same sums by other kernels",
    "engine.processes": "the same sums by others",
    "engine.parallel": "the same sums by others",
    "model.activation_checkpointing": "the same sums, computed twice",
    "model.reference": "the same frozen start, kept elsewhere",
    "data.cache": "what is kept of it outside the run directory",
    "evaluation": "how the model is judged, after the last step",
    "limits": "how long what is read may take",
    "force": "whether it goes on at all where there is nothing to forget",
    "gates": "what is asked of the numbers",
    "junit": "where they are told",
    "github_summary": "where they are told",
    "tracker": "who else is told of the steps",
    "names": "the choices behind the values that are compared here",
    "run_name": "what it is called",
    "output_root": "where it lies",
    "run_dir": "where it lies",
    "resume": "that it goes on",
}
"""Keys that may change, with all below them, when a run goes on, and the reason; any other key shapes its numbers.

"The same sums" are equal up to rounding, everything else to the bit."""


def numbers(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a resolved ``config`` on which a run's numbers depend, dotted, with their values."""
    return {key: value for key, value in _flat(config, "") if not is_free(key)}


def require_same(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raise RequestError naming each key of ``numbers`` that has another value ``after``, with both values."""
    nothing = object()
    # A secret is not compared, because no file keeps it.
    keys = [key for key in dict.fromkeys((*before, *after)) if HIDDEN not in (before.get(key), after.get(key))]
    changed = [key for key in keys if before.get(key, nothing) != after.get(key, nothing)]
    if changed:
        listed = ", ".join(f"{key}={_said(after, key)} (it was {_said(before, key)})" for key in changed)
        raise RequestError(
            f"a run that goes on must keep what its numbers depend on, found {listed}; leave it out, or start a new run"
        )


def _said(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return "absent"
    value = values[key]
    return value if isinstance(value, str) else json.dumps(value, default=str)


def is_free(key: str) -> bool:
    """True where ``key`` may have another value when a run goes on."""
    parts = key.split(".")
    return any(".".join(parts[:count]) in FREE for count in range(1, len(parts) + 1))


def _flat(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and (node or not key):
        for name, value in node.items():
            yield from _flat(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, list(node) if isinstance(node, tuple) else node
