"""One job of a sweep: in this process, or in one of its own, so that whatever ends it ends nothing else.

``python -m mollm_cli.sweep.job SWEEP_DIR NUMBER ALLOWED`` is that process; ALLOWED is what the sweep's command line
allows, as JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from mollm_cli.configuration.compose import compose_job, composing, parse, plain, without_hydra
from mollm_cli.configuration.programs import COMMANDS, Command
from mollm_cli.configuration.resumed_config import KEYS, automatic, require_lasting, resumed_config
from mollm_cli.core.allowed import Allowed, allowed, allowing
from mollm_cli.core.endings import NOTHING
from mollm_cli.core.manifest import Manifest
from mollm_cli.core.owned_folder import opened
from mollm_cli.core.privacy import as_open_as, private
from mollm_cli.core.terminal import plain_streams
from mollm_cli.launch.door import claim, enter, typed
from mollm_cli.launch.ending import ended
from mollm_cli.launch.run_spec import RunSpec
from mollm_cli.sweep.ledger import SweepLedger

LOGS = "logs"
"""The folder of a sweep with what each job said that has a process of its own."""
_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux."""


def run_job(jobs: SweepLedger, number: int) -> int:
    """Job ``number`` in this process, as its command line would; returns the exit code, which its manifest has too."""
    command, line = COMMANDS[jobs.command], jobs.typed(number)
    with typed([command.program, *line]), contextlib.redirect_stdout(sys.stderr):  # stdout is the sweep's
        code = ended(command.program, lambda: _entered(command, line, jobs.folder(number))).code
    jobs.settle(number, code)
    return code


def _entered(command: Command, line: Sequence[str], directory: Path) -> int:
    """Through the door with what ``line`` composes, or with what the run began with."""
    with composing():
        overrides = parse(line)
        resume = automatic(directory)
        if resume.found == "finished":
            return Manifest.exit_code(resume.directory)
        going_on = str(resume.directory) if resume.found == "unfinished" else None
        if going_on is None:
            own = [str(override.input_line) for override in overrides if override.key_or_group not in KEYS]
            composed = compose_job(command.config, own)
            config = plain(without_hydra(composed), composed.hydra.runtime.choices)
        else:
            config = resumed_config(resume.directory, overrides, command.config)
            require_lasting(resume.directory, config)
    claim(resume.directory, again=True)
    return enter(RunSpec(command.name, config, str(resume.directory), going_on, list(sys.argv)))


def started(
    jobs: SweepLedger, number: int, own_session: bool, granted: Allowed | None = None
) -> subprocess.Popen[bytes]:
    """The process of job ``number``, which says what it says in SWEEP_DIR/logs/NUMBER.txt.

    own_session: Ctrl-C in a terminal is for whoever starts it to answer.
    granted: what the sweep's command line allows, where that is not this process's.
    """
    print(f"job {number}: {jobs.shown(number)}", file=sys.stderr, flush=True)
    line = [sys.executable, "-m", "mollm_cli.sweep.job", str(jobs.directory), str(number)]
    line.append(json.dumps(asdict(granted or allowed())))
    with _log(jobs.directory, f"{number}.txt") as said:
        return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=own_session)


def settled(jobs: SweepLedger, number: int, code: int) -> None:
    """Write down and tell how the process of job ``number`` ended; code: negative the signal that killed it."""
    jobs.settle(number, code)
    how = "done" if code == 0 else f"exit code {code}" if code > 0 else f"killed by {signal.Signals(-code).name}"
    if Manifest.read(jobs.folder(number)).get("status") == NOTHING:
        how = f"nothing to forget, {how}"
    see = "" if code == 0 else f"; see {jobs.directory / LOGS / f'{number}.txt'}"
    print(f"job {number}: {how}{see}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _log(directory: Path, name: str) -> Iterator[BinaryIO]:
    """The file ``name`` in the logs of a sweep, to add to."""
    with as_open_as(directory), opened(directory / LOGS, 2, make=1) as logs, logs.append(name) as said:
        yield said


def _end_with_parent() -> None:
    """SIGTERM for this process when its parent is killed. On Linux; elsewhere the job then runs to its end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)


if __name__ == "__main__":
    _end_with_parent()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # Slurm tells every process of the step; the worker answers
    with private(), plain_streams(), allowing(Allowed.from_plain(json.loads(sys.argv[3]))):
        code = run_job(SweepLedger.read(Path(sys.argv[1])), int(sys.argv[2]))
    sys.exit(code)
