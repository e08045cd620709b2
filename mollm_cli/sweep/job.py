"""One job of a sweep: in this process, or in one of its own, so that whatever ends it ends nothing else.

``python -m mollm_cli.sweep.job SWEEP_DIR NUMBER ALLOWED`` is the process that the worker of a launcher starts and waits
for; ALLOWED is what the sweep's command line allows, as JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from mollm_cli.configuration.compose import compose_job, composing, parse, plain, without_hydra
from mollm_cli.configuration.programs import COMMANDS, Command
from mollm_cli.configuration.resumed_config import KEYS, require_lasting, resumed_config, resuming
from mollm_cli.core.allowed import Allowed, allowed, allowing
from mollm_cli.core.endings import INTERRUPTED, heeded
from mollm_cli.core.manifest import Manifest
from mollm_cli.core.owned_folder import opened
from mollm_cli.core.privacy import as_open_as, private
from mollm_cli.core.terminal import plain_streams
from mollm_cli.launch.door import claim, enter, typed
from mollm_cli.launch.ending import ended
from mollm_cli.launch.run_spec import RunSpec
from mollm_cli.sweep.ledger import SweepLedger

STOP = "stop"
"""A file in the sweep directory: no other job starts, and those that run save what they have and end."""
POLL_SECONDS = 0.3
KILL_WAIT_SECONDS = 120
"""How long Slurm may take between SIGTERM and SIGKILL (KillWait, GraceTime)."""
_PATIENCE = 0.8
"""The part of Slurm's notice that a job has for its step and its resume point; then it is queued again without."""
_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux."""


def run_job(jobs: SweepLedger, number: int) -> int:
    """Job ``number`` in this process, as its command line would; returns the exit code, which its manifest has too."""
    command, line = COMMANDS[jobs.command], jobs.typed(number)
    with typed([command.program, *line]), contextlib.redirect_stdout(sys.stderr):  # stdout is the sweep's
        code = ended(command.program, lambda: _entered(command, line)).code
    jobs.settle(number, code)
    return code


def _entered(command: Command, line: Sequence[str]) -> int:
    with composing():
        overrides = parse(line)
        resume = resuming(overrides)
        assert resume is not None
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


class _Asked:
    """What the worker of a launcher was asked by signals, of which its job is told once.

    ended: to end, by SIGTERM or SIGHUP; ``since``: by submitit's signal, which Slurm sends ``seconds`` before the time
    is out.
    """

    def __init__(self, requeue: Callable[[int, FrameType | None], Any] | None, seconds: float) -> None:
        self.ended, self.since, self._requeue, self._seconds = False, math.inf, requeue, seconds

    def end(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGHUP. Of Slurm's the job, a process of the same step, has had one of its own."""
        self.ended = not _queued()

    def save(self, number: int, frame: FrameType | None) -> None:
        """submitit's signal: its answer, which lets Slurm kill the job soon, waits for what the job saves."""
        self.since = min(self.since, time.monotonic())

    @property
    def overdue(self) -> bool:
        """Whether an answer that waits any longer may come too late."""
        return time.monotonic() - self.since > _PATIENCE * self._seconds

    def answer(self) -> None:
        """Have the job queued again, where that was asked; then it does not return."""
        if self._requeue is not None and self.since < math.inf:
            self._requeue(signal.SIGUSR2, None)


def supervise(
    directory: Path, number: int, worker: bool = True, notice: float = 0, granted: Allowed | None = None
) -> None:
    """Job ``number`` in a process of its own, from the worker of a launcher; worker: not from the sweep's own process.

    What the job says goes into SWEEP_DIR/logs/NUMBER.txt. The job is terminated (it finishes its step and saves) where
    the sweep is stopped, where the worker is told to end, and where the process that started the worker is gone.
    notice: the seconds between Slurm's signal and the end of the time. granted: what the sweep's command line allows.
    """
    granted, parent, stop = granted or allowed(), os.getppid(), directory / STOP
    with allowing(granted):
        jobs = SweepLedger.read(directory)
    if stop.exists() or jobs.state(number) != "missing":
        return

    def gone() -> bool:
        return worker and os.getppid() != parent

    print(f"job {number}: {jobs.shown(number)}", file=sys.stderr, flush=True)
    log = directory / "logs" / f"{number}.txt"
    line = [sys.executable, "-m", "mollm_cli.sweep.job", str(directory), str(number)]
    line.append(json.dumps(asdict(granted)))
    with _log(directory, log.name) as said, _asked(worker, notice) as asked:
        job = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=not _queued()
        )  # a session of its own: Ctrl-C in a terminal is the sweep's to answer
        code = _wait(job, asked, lambda: stop.exists() or gone())
    jobs.settle(number, code)
    if gone():
        os._exit(1)  # nobody takes an answer, for which joblib's worker would wait some minutes
    ended = "done" if code == 0 else f"exit code {code}" if code > 0 else f"killed by {signal.Signals(-code).name}"
    print(f"job {number}: {ended}{'' if code == 0 else f'; see {log}'}", file=sys.stderr, flush=True)
    if code in INTERRUPTED and not stop.exists():
        asked.answer()
        if "SLURM_JOB_ID" in os.environ:  # it ends or requeues this worker too, which must not say that the job is done
            time.sleep(KILL_WAIT_SECONDS)


@contextlib.contextmanager
def _log(directory: Path, name: str) -> Iterator[BinaryIO]:
    """The file ``name`` in the logs of a sweep, to add to."""
    with as_open_as(directory), opened(directory / "logs", 2, make=1) as logs, logs.append(name) as said:
        yield said


def _queued() -> bool:
    """Whether Slurm runs this worker: what it signals, it signals to every process of the step."""
    return os.environ.get("SUBMITIT_EXECUTOR") == "slurm"


@contextlib.contextmanager
def _asked(worker: bool, seconds: float) -> Iterator[_Asked]:
    """Within the block a worker's signals go to an _Asked. The sweep's own process answers them itself."""
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, *heeded())}
    requeue = before[signal.SIGUSR2]
    asked = _Asked(requeue if callable(requeue) else None, seconds)
    if worker:
        for number in heeded():
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else asked.end)
    if callable(requeue):
        signal.signal(signal.SIGUSR2, asked.save)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(job: subprocess.Popen[bytes], asked: _Asked, stopped: Callable[[], bool]) -> int:
    """The exit code of ``job``."""
    told = False
    try:
        while True:
            try:
                return job.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if not told and (asked.ended or asked.since < math.inf or stopped()):
                    job.terminate()
                    told = True
                if asked.overdue:
                    asked.answer()
    finally:
        if job.poll() is None:
            job.terminate()
            job.wait()


def _end_with_parent() -> None:
    """SIGTERM for this process when the worker is killed. On Linux; elsewhere the job then runs to its end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)


if __name__ == "__main__":
    _end_with_parent()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # Slurm tells every process of the step; the worker answers
    with private(), plain_streams(), allowing(Allowed.from_plain(json.loads(sys.argv[3]))):
        code = run_job(SweepLedger.read(Path(sys.argv[1])), int(sys.argv[2]))
    sys.exit(code)
