"""Flags and overrides, told apart in any order (Hydra alone wants flags first)."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mollm_cli.core.allowed import CODE, VARIABLE, Allowed
from mollm_cli.core.errors import RequestError, nearest

PASSED_ON = ("--hydra-help", "--shell-completion", "-sc", "--info", "-i")
"""Flags that Hydra answers itself."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """A command line, read. listed: a group, or None. cfg: print the composed configuration."""

    overrides: tuple[str, ...] = ()
    help: bool = False
    version: bool = False
    listed: str | None = None
    check: bool = False
    plan: bool = False
    hours: bool = False
    cfg: str | None = None
    resolve: bool = False
    config_dir: str | None = None
    allow_code: tuple[str, ...] = ()
    allow_env: tuple[str, ...] = ()
    purge: str | None = None
    resume_sweep: str | None = None
    multirun: bool = False

    def allowed(self, program: str, typed: Sequence[str]) -> Allowed:
        """The permissions of others' files, as given to ``program`` in the words ``typed``."""
        return Allowed.typed(program, typed, self.overrides, self.allow_code, self.allow_env)

    def folders(self, own: Path) -> list[Path]:
        """The folders that are searched for YAML files: ``own``, then --config-dir. Raises RequestError."""
        if self.config_dir is None:
            return [own]
        folder = Path(self.config_dir).expanduser().absolute()
        if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
            raise RequestError(
                f"--config-dir must be a folder that can be read, found '{self.config_dir}'; give one that exists"
            )
        return [own, folder]


class Parser(argparse.ArgumentParser):
    """A parser that raises RequestError where argparse would exit."""

    def error(self, message: str) -> NoReturn:
        """Raise RequestError with argparse's message."""
        raise RequestError(f"{message}; see --help")


def read(arguments: Sequence[str]) -> Arguments:
    """Tell flags from overrides, wherever they stand. Raises RequestError with the nearest flags."""
    parser = _parser()
    known, rest = parser.parse_known_intermixed_args(arguments)
    flags = [text for text in rest if text.startswith("-")]
    if flags:
        every = [option for action in parser._actions for option in action.option_strings] + list(PASSED_ON)
        raise RequestError(f"'{flags[0]}' is not a flag; {nearest(flags[0], every)}")
    values = vars(known)
    if known.resolve and known.cfg is None:
        raise RequestError("--resolve goes with --cfg job; add it, or leave --resolve out")
    if known.hours and not known.plan:
        raise RequestError("--hours goes with --plan; add it, or leave --hours out")
    if known.purge is not None and known.overrides:
        raise RequestError(f"--purge RUN takes no override, found {known.overrides[0]}; leave it out")
    if known.resume_sweep is not None and known.multirun:
        raise RequestError("--resume-sweep DIR has its jobs from DIR, found -m; leave it out")
    for flag, named in ((CODE, known.allow_code), (VARIABLE, known.allow_env)):
        for name in named:
            if not all(part.isidentifier() for part in name.split(".")):
                raise RequestError(f"{flag} must be followed by one name, found '{name}'; repeat the flag for each")
    listed: dict[str, Any] = {key: tuple(values[key]) for key in ("overrides", "allow_code", "allow_env")}
    return Arguments(**(values | listed))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--list", dest="listed", metavar="GROUP")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--hours", action="store_true")
    parser.add_argument("--cfg", choices=("job",))
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("--config-dir", metavar="DIR")
    parser.add_argument(CODE, metavar="PACKAGE", action="append", default=[])
    parser.add_argument(VARIABLE, metavar="NAME", action="append", default=[])
    parser.add_argument("--purge", metavar="RUN")
    parser.add_argument("--resume-sweep", metavar="DIR")
    parser.add_argument("-m", "--multirun", action="store_true")
    return parser
