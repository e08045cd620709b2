"""The things that the door (launch/), having opened a run's directory, hands to the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from mollm_cli.configuration.request import Request
from mollm_cli.core.manifest import Manifest
from mollm_cli.core.world import World

R = TypeVar("R", bound=Request, covariant=True)


class Stops(Protocol):
    """The signals that end a run (launch/signals.py)."""

    received: int | None
    """The exit code of the signal that came."""
    waits: bool
    """True if a signal waits until somebody looks at ``received``; else it is raised where the program stands."""


@dataclass(frozen=True, slots=True)
class Context(Generic[R]):
    """One run in its directory, which is this process's alone.

    manifest: the run notes there what it finds out. world: the processes that run it together.
    """

    request: R
    run_dir: Path
    manifest: Manifest
    signals: Stops
    world: World


Body = Callable[[Context[Any]], None]
"""A run between its first file and its last; how it ends is what it raises."""
