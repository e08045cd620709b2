"""The function that submitit runs on a node: it starts one job as a process, waits for it, and answers Slurm."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from mollm_cli.core.allowed import Allowed, allowing
from mollm_cli.core.endings import INTERRUPTED, heeded
from mollm_cli.sweep.job import settled, started
from mollm_cli.sweep.ledger import SweepLedger

POLL_SECONDS = 0.3
KILL_WAIT_SECONDS = 120
"""The longest time that Slurm may take between SIGTERM and SIGKILL (KillWait, GraceTime)."""
_PATIENCE = 0.8
"""The part of Slurm's notice that a job has for its step and its resume point; then it is queued again without."""


@dataclass(frozen=True, slots=True)
class SlurmWorker:
    """A job of the sweep in ``directory``, by number.

    notice: the seconds between Slurm's signal and the end of the time.
    granted: what the sweep's command line allows.
    """

    directory: Path
    notice: float
    granted: Allowed

    def __call__(self, number: int) -> None:
        """Run the job, where nobody has or does. A job that is preempted or out of time is queued again."""
        with allowing(self.granted):
            jobs = SweepLedger.read(self.directory)
        if jobs.state(number) != "missing":
            return
        with _asked(self.notice) as asked:
            code = _wait(started(jobs, number, own_session=False, granted=self.granted), asked)
        settled(jobs, number, code)
        if code in INTERRUPTED:
            asked.answer()
            if "SLURM_JOB_ID" in os.environ:  # it ends or requeues this worker too, which must not say that it is done
                time.sleep(KILL_WAIT_SECONDS)

    def checkpoint(self, number: int) -> Any:
        """For submitit, when the job is queued again: the same once more."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, number)


class Notice:
    """The request in submitit's signal, of which the job is told once; since: when it came, inf if it has not.

    Its answer, which lets Slurm kill the job soon, waits for what the job saves.
    """

    def __init__(self, requeue: Callable[[int, FrameType | None], Any] | None, seconds: float) -> None:
        self.since, self._requeue, self._seconds = math.inf, requeue, seconds

    def save(self, number: int, frame: FrameType | None) -> None:
        """The signal, which Slurm sends ``seconds`` before the time is out."""
        self.since = min(self.since, time.monotonic())

    @property
    def overdue(self) -> bool:
        """True if an answer that waits any longer may come too late."""
        return time.monotonic() - self.since > _PATIENCE * self._seconds

    def answer(self) -> None:
        """Have the job queued again, where that was asked; then it does not return."""
        if self._requeue is not None and self.since < math.inf:
            self._requeue(signal.SIGUSR2, None)


@contextmanager
def _asked(seconds: float) -> Iterator[Notice]:
    """Within the block submitit's signal goes to a Notice. The others are the job's: Slurm sends them to every process
    of a step.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, *heeded())}
    requeue = before[signal.SIGUSR2]
    asked = Notice(requeue if callable(requeue) else None, seconds)
    for number in heeded():
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the job would inherit
    if callable(requeue):
        signal.signal(signal.SIGUSR2, asked.save)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(job: subprocess.Popen[bytes], asked: Notice) -> int:
    """The exit code of ``job``."""
    told = False
    try:
        while True:
            try:
                return job.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if not told and asked.since < math.inf:
                    job.terminate()
                    told = True
                if asked.overdue:
                    asked.answer()
    finally:
        if job.poll() is None:
            job.terminate()
            job.wait()
