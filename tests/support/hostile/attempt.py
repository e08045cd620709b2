"""One hostile input put to the real command, in a fork of this process, and what came of it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import resource
import select
import shutil
import signal
import stat
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from mollm_cli.cli.compare_runs import main as compare
from mollm_cli.cli.main import main
from mollm_cli.cli.try_out import main as try_out
from mollm_cli.configuration.programs import COMMANDS
from mollm_cli.core.budget import Budget, spending
from tests.support.hostile.hostile_input import PLANTED, VARIABLE, Bases, Hostile, Place

PATIENCE = 120.0
"""Seconds by the clock after which an input counts as one that hangs the command."""
MOST_LINES, MOST_CHARACTERS = 20, 6000
"""Of a message."""
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
ALLOWED = ("out", "cache", "stdout", "stderr")
"""What an attempt may change; the run directory too where it is asked to."""


@dataclass(slots=True)
class Outcome:
    """seconds: of processor time, mib: of the largest process, both with the command's own children."""

    family: str
    kind: str
    name: str
    line: str
    code: int
    seconds: float
    mib: int
    told: str
    faults: list[str] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether it was refused with a message."""
        return self.code == 2 and not self.faults

    def plain(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def attempt(hostile: Hostile, folder: Path, bases: Bases) -> Outcome:
    """Put ``hostile`` to its command in ``folder``, which is made and removed."""
    place = Place(folder, bases).made()
    typed = hostile.typed(place)
    before = _state(place)
    began = time.monotonic()
    process = _fork()
    if process == 0:
        _child(place, typed)
    late = _wait(process)
    _, status, used = os.wait4(process, 0)
    _end_others(process)
    code = os.waitstatus_to_exitcode(status)
    out, err = ((folder / name).read_text(encoding="utf-8", errors="replace") for name in ("stdout", "stderr"))
    outcome = Outcome(
        hostile.family, hostile.kind, hostile.name, " ".join(typed).replace(str(folder), "PLACE")[:600], code,
        round(used.ru_utime + used.ru_stime, 2), used.ru_maxrss >> 10, _told(err, typed[0])[-1500:],
    )  # fmt: skip
    if late:
        outcome.faults.append(f"hangs: nothing after {time.monotonic() - began:.0f} s")
    outcome.faults += _faults(hostile, code, out, err, typed[0])
    outcome.faults += _damage(place, before, ("run", "elsewhere") if hostile.changes else ())
    shutil.rmtree(folder)
    return outcome


def _fork() -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return os.fork()


def _child(place: Place, typed: Sequence[str]) -> NoReturn:
    """The command, with streams, a working directory, an environment and a process group of its own."""
    code = 99
    try:
        os.setsid()
        _streams(place)
        os.chdir(place.folder / "cwd")
        os.environ |= {VARIABLE: PLANTED, "XDG_CACHE_HOME": str(place.folder / "cache"), "HOME": str(place.folder)}
        sys.path.insert(0, str(place.folder / "site"))
        sys.argv = list(typed)
        warnings.resetwarnings()
        warnings.simplefilter("default")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with spending(Budget(1.0, 0.25)):  # of commands that take no keys
            code = _command(typed[0])(typed[1:])
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as escaped:
        os.write(2, f"{sys.argv[0]}: Traceback: {type(escaped).__name__} escaped: {escaped}".encode(errors="replace"))
    finally:
        os._exit(code)


class _Stderr:
    """The stderr of the moment."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


def _streams(place: Place) -> None:
    (place.folder / "stdin").write_text('"Who is it?"\n')
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        opened = os.open(
            place.folder / name, os.O_RDONLY if number == 0 else os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600
        )
        os.dup2(opened, number)
        os.close(opened)
    for name in [None, *logging.root.manager.loggerDict]:  # libraries imported with the command would have its streams
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler):
                with contextlib.suppress(AttributeError):  # one that looks for it itself
                    handler.stream = _Stderr()
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode, encoding="utf-8") for n, mode in enumerate("rww"))


def _command(program: str) -> Callable[[Sequence[str]], int]:
    if program in ("mollm-try", "mollm-compare"):
        return try_out if program == "mollm-try" else compare
    return lambda typed: main(COMMANDS[program.removeprefix("mollm-")], typed)


def _wait(process: int) -> bool:
    """Wait until ``process`` has ended; True where it had to be killed."""
    handle = os.pidfd_open(process)
    try:
        late = not select.select([handle], [], [], PATIENCE)[0]
    finally:
        os.close(handle)
    if late:
        os.killpg(process, signal.SIGKILL)
    return late


def _end_others(process: int) -> None:
    """What the command left running."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def _told(err: str, program: str) -> str:
    start = max(err.rfind(f"\n{program}: "), err.rfind(f"{program}: ") if err.startswith(f"{program}: ") else -1)
    return err[max(0, start) :].strip() if start >= 0 else ""


def _faults(hostile: Hostile, code: int, out: str, err: str, program: str) -> list[str]:
    told = _told(err, program)
    wrong = {
        f"ends with {code}": code not in (0, 2),
        "is not refused": hostile.refused and code == 0,
        "is refused without a message": code == 2 and not told,
        "says too much": code == 2 and (told.count("\n") >= MOST_LINES or len(told) > MOST_CHARACTERS),
        "shows a trace": "Traceback" in err or re.search(r'^  File ".*", line \d+', err, re.MULTILINE) is not None,
        "shows what it was not to": PLANTED.split()[0] in out + err,
        "has a terminal obey": CONTROL.search(out + err) is not None,
    }
    return [fault for fault, is_so in wrong.items() if is_so]


def _state(place: Place) -> dict[str, tuple[int, ...]]:
    """Kind, size, time and content's place of everything below the folder, as lstat has it."""
    found = {}
    for above, folders, files in os.walk(place.folder):
        if Path(above) == place.folder:
            folders[:] = [name for name in folders if name not in ALLOWED]
        for name in (*folders, *files):
            path = Path(above) / name
            about = path.lstat()
            is_file = stat.S_ISREG(about.st_mode)
            found[str(path.relative_to(place.folder))] = (
                about.st_mode, *((about.st_size, about.st_mtime_ns, about.st_ino) if is_file else ()),
            )  # fmt: skip
    return {name: state for name, state in found.items() if name not in (*ALLOWED, "stdin")}


def _damage(place: Place, before: dict[str, tuple[int, ...]], asked: Sequence[str]) -> list[str]:
    faults = ["ran its code"] if place.canary.exists() else []
    after = _state(place)
    other = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    outside = [name for name in other if name.split("/")[0] not in (*asked, "canary") and "__pycache__" not in name]
    return faults + [f"changes {', '.join(outside[:3])}"] * bool(outside)
