"""One run as plain data that goes from process to process."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mollm_cli.configuration.request import Request, request
from mollm_cli.core.allowed import allowed


@dataclass(frozen=True)
class RunSpec:
    """One run, whoever starts it: a command line, a sweep, or the process that has started this one.

    command: "unlearn", "finetune" or "evaluate".
    config: its configuration, resolved, with ``names``.
    run_dir: where it writes.
    resume: the run directory that it goes on with, or None.
    typed: the command line, the program's name first, as the manifest shows it.
    allowed: what the command line allows, which a process of its own does not see.
    """

    command: str
    config: Mapping[str, Any]
    run_dir: str
    resume: str | None
    typed: list[str]
    allowed: Mapping[str, Any] = field(default_factory=lambda: dataclasses.asdict(allowed()))

    @cached_property
    def request(self) -> Request:
        """The typed request, built once in a process. Raises RequestError."""
        return dataclasses.replace(request(self.config, self.command), resume=self.resume)

    @property
    def program(self) -> str:
        """The name of the console script, before what is told."""
        return f"mollm-{self.command}"

    def plain(self) -> dict[str, Any]:
        """The fields, as JSON has them."""
        return dataclasses.asdict(self)
