"""The jobs of a sweep as its directory holds them: what each runs, what became of it, and which are missing."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

from mollm_cli.configuration.programs import COMMANDS
from mollm_cli.configuration.resumed_config import FINISHED
from mollm_cli.configuration.strangers import check_override
from mollm_cli.core.atomic import write_text
from mollm_cli.core.endings import INTERRUPTED
from mollm_cli.core.errors import RequestError
from mollm_cli.core.manifest import Manifest
from mollm_cli.core.privacy import FOLDER
from mollm_cli.core.read_back import read_mapping
from mollm_cli.core.secrets import HIDDEN, shown_override
from mollm_cli.launch.lock import held

FILE = "sweep.json"


@dataclass(frozen=True, slots=True)
class SweepLedger:
    """directory: the sweep's; job k has its run in directory/k. command: "unlearn", "finetune" or "evaluate".

    base: the overrides that all jobs share, Hydra's own (the launcher) among them. lines: the overrides of each job.
    named: of ``sweep=NAME`` what is needed at its end (sweep/spec.py), else empty.
    """

    directory: Path
    command: str
    base: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    named: Mapping[str, Any]

    def write(self) -> None:
        """sweep.json, whole or not at all, without secrets."""
        content = asdict(self) | {"directory": None}
        content["base"] = [*map(shown_override, self.base)]
        content["lines"] = [[*map(shown_override, line)] for line in self.lines]
        del content["directory"]
        write_text(self.directory / FILE, json.dumps(content, indent=1) + "\n")

    @classmethod
    def read(cls, directory: Path) -> SweepLedger:
        """The jobs of the sweep in ``directory``. Raises RequestError where none are written down there."""
        file = directory / FILE
        try:
            content = read_mapping(file, {"command": str, "base": list, "lines": list, "named": dict})
            if content["command"] not in COMMANDS:
                raise ValueError(f"its command must be one of {', '.join(COMMANDS)}, found another")
            lines = tuple(tuple(map(str, line)) for line in content["lines"])
            base, named = tuple(map(str, content["base"])), dict(content["named"])
            jobs = cls(directory.absolute(), content["command"], base, lines, named)
        except (OSError, ValueError, LookupError, TypeError) as problem:
            raise RequestError(
                f"a sweep directory must hold {FILE}, found none that can be read in '{directory}': {problem}; name "
                "the directory that the sweep printed"
            ) from problem
        for text in dict.fromkeys((*base, *(text for line in lines for text in line))):
            check_override(text, str(file))
        return jobs

    def with_base(self, overrides: Sequence[str]) -> SweepLedger:
        """The same jobs with ``overrides`` of Hydra's own keys in place of, or beside, those that are there."""
        keys = {_key(text) for text in overrides}
        return replace(self, base=(*(text for text in self.base if _key(text) not in keys), *overrides))

    def with_secrets(self, given: Mapping[str, str]) -> SweepLedger:
        """The same jobs with the values ``given`` for what sweep.json does not keep. Raises RequestError for others."""
        missing = {_key(text) for line in (self.base, *self.lines) for text in line if text.endswith(f"={HIDDEN}")}
        for key in missing - given.keys():
            raise RequestError(
                f"{key} is a secret that no sweep directory keeps, found ***; add {key}=VALUE after --resume-sweep DIR"
            )
        kept = {text for line in (self.base, *self.lines) for text in line}  # what counts only when it is typed
        for key in given.keys() - missing:
            if given[key] in kept:
                continue
            raise RequestError(
                f"a sweep that is gone on with must keep its jobs as they are, found {given[key]}; give Hydra's own "
                "keys only (hydra/launcher=local), or start a new sweep"
            )

        def told(line: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(given.get(_key(text), text) if text.endswith(f"={HIDDEN}") else text for text in line)

        return replace(self, base=told(self.base), lines=tuple(map(told, self.lines)))

    def folder(self, number: int) -> Path:
        """The run directory of a job."""
        return self.directory / str(number)

    def typed(self, number: int) -> list[str]:
        """The command line of a job: it starts, is gone on with, or is left as it is when it has ended."""
        place = QuotedString(str(self.folder(number)), Quote.double).with_quotes()
        return ["resume=auto", f"run_dir={place}", *self.lines[number]]

    def shown(self, number: int) -> str:
        """The overrides in which a job differs from the others, for people."""
        return " ".join(shown_override(text) for text in self.lines[number] if text not in self.base)

    def state(self, number: int) -> str:
        """The state of a job: "finished" (a gate may have failed), "running" (in another process) or "missing"."""
        if Manifest.read(self.folder(number)).get("status") in FINISHED:
            return "finished"
        with held(self.folder(number)) as alone:
            return "running" if alone is False else "missing"

    def missing(self) -> list[int]:
        """The numbers of the jobs that have not finished and that no process is at work on."""
        return [number for number in range(len(self.lines)) if self.state(number) == "missing"]

    def codes(self) -> list[int]:
        """The exit code of each job; 1 where it has none."""
        return [Manifest.exit_code(self.folder(number)) for number in range(len(self.lines))]

    def ended(self, number: int) -> bool:
        """True if the manifest of a job says how it ended."""
        return Manifest.read(self.folder(number)).get("status") not in (None, "running")

    def settle(self, number: int, code: int) -> None:
        """See that the manifest of a job that ended with ``code`` says so, where the job itself could not.

        code: that of its process, negative the signal that killed it.
        """
        if code == 0 or self.ended(number) or self.state(number) == "running":
            return
        folder = self.folder(number)
        folder.mkdir(mode=FOLDER, exist_ok=True)
        told = {
            "status": "interrupted" if code in INTERRUPTED else "failed",
            "exit_code": code if code > 0 else 1,
            "error": f"killed by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}",
        }
        Manifest.amend(folder, **(self._facts(number) | Manifest.read(folder) | told))

    def _facts(self, number: int) -> dict[str, Any]:
        """Facts about a job that its overrides tell, for one that did not come to write its own manifest."""
        given = {_key(text): text.partition("=")[2] for text in self.lines[number]}
        seed = given.get("seed", "")
        return {
            "loss": given.get("loss"),
            "solver": given.get("solver"),
            "seed": int(seed) if seed.isdecimal() else None,
        }


def _key(text: str) -> str:
    return text.partition("=")[0].lstrip("+~")
