"""A request as a session reads it, without anything that would have to be built."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

ASKED: Any = SimpleNamespace(
    evaluation=SimpleNamespace(keep_text="auto"),
    names={"solver": "weighted_sum"},
    loss=None,
    run_name="mine",
    seed=4,
    junit=None,
    github_summary=None,
)
