"""Two launchers in Hydra's plugin interface: jobs on this machine, some at a time, and jobs as one Slurm array.

Each starts a job as a process that goes through the one door (sweep/job.py), and leaves what came of it in the ledger:
a job that has finished, or runs, is not started, and one that fails or is killed stops no other.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from mollm_cli.core.allowed import allowed
from mollm_cli.core.endings import CODES, heeded
from mollm_cli.sweep.job import settled, started
from mollm_cli.sweep.ledger import SweepLedger
from mollm_cli.sweep.slurm_worker import SlurmWorker

LOOK_SECONDS = 0.1
SHARED = (
    "timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name", "stderr_to_stdout",
)  # fmt: skip
"""The parameters that submitit has for every cluster; the rest are Slurm's."""
Process = subprocess.Popen[bytes]


class SweepLauncher(Launcher):
    """The part that both launchers share: the ledger in hydra.sweep.dir. stopped: the exit code of a signal."""

    stopped: int | None = None
    at_once = False
    """True if the first signal ends the jobs at once instead of asking them to end."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take the sweep's directory from ``config``; a job composes and runs in a process of its own."""
        self.config, self.directory = config, Path(config.hydra.sweep.dir)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs from number ``initial_job_idx`` on that nobody has run or runs; each returns its exit code."""
        jobs = SweepLedger.read(self.directory)
        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        with stopping(self.at_once) as stop:
            self.carry_out(jobs, numbers, stop)
        self.stopped, codes = stop.code, jobs.codes()
        return [JobReturn(jobs.lines[n], status=JobStatus.COMPLETED, _return_value=codes[n]) for n in numbers]

    @abstractmethod
    def carry_out(self, jobs: SweepLedger, numbers: Sequence[int], stop: SweepStop) -> None:
        """Run those of ``numbers`` that are missing, until ``stop`` has a code."""


class LocalLauncher(SweepLauncher):
    """``hydra/launcher=local``: jobs on this machine, ``n_jobs`` at a time. Raises ValueError where that is none."""

    def __init__(self, n_jobs: int = 2) -> None:
        if n_jobs < 1:
            raise ValueError(f"hydra.launcher.n_jobs must be >= 1, found {n_jobs}; set how many jobs run at a time")
        self.n_jobs = n_jobs

    def carry_out(self, jobs: SweepLedger, numbers: Sequence[int], stop: SweepStop) -> None:
        """All in the main thread: a job is told of the death of the thread that has started it."""
        waiting, running, told = deque(numbers), dict[int, Process](), False
        try:
            while running or (waiting and stop.code is None):
                while waiting and len(running) < self.n_jobs and stop.code is None:
                    if jobs.state(number := waiting.popleft()) == "missing":
                        running[number] = started(jobs, number, own_session=True)
                for number in [number for number, job in running.items() if job.poll() is not None]:
                    settled(jobs, number, running.pop(number).wait())
                if stop.code is not None and not told:
                    told = True
                    _terminate(running.values())
                time.sleep(LOOK_SECONDS)
        finally:
            _terminate(running.values())
            for number, job in running.items():
                settled(jobs, number, job.wait())


def _terminate(jobs: Iterable[Process]) -> None:
    for job in jobs:
        job.terminate()


class SlurmLauncher(SweepLauncher):
    """``hydra/launcher=slurm``: jobs as one Slurm array, by submitit; a signal leaves in the queue what is there.

    submitit_folder: where submitit keeps its files.
    max_num_timeout: how often a job that is out of time is queued again.
    signal_delay_s: how long before the time is out a job hears of it.
    asked: what else submitit and sbatch are asked for.
    """

    at_once = True

    def __init__(
        self, submitit_folder: str, max_num_timeout: int = 20, signal_delay_s: int = 300, **asked: Any
    ) -> None:
        self.folder, self.timeouts = submitit_folder, max_num_timeout
        self.notice, self.asked = signal_delay_s, asked | {"signal_delay_s": signal_delay_s}

    def carry_out(self, jobs: SweepLedger, numbers: Sequence[int], stop: SweepStop) -> None:
        """Queue what is missing, and wait for all of it, whatever becomes of the workers."""
        import submitit

        missing = [number for number in numbers if jobs.state(number) == "missing"]
        if not missing:
            return
        # submitit reads pickles there and a sweep directory may be anybody's: only one that nobody could guess is ours.
        before, number, after = self.folder.partition("%j")
        folder = f"{before.rstrip('/')}/{secrets.token_hex(8)}/{number}{after}"
        executor = submitit.AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=self.timeouts)
        asked = {key if key in SHARED else f"slurm_{key}": value for key, value in self.asked.items()}
        executor.update_parameters(**asked)
        for job in executor.map_array(SlurmWorker(self.directory, self.notice, allowed()), missing):
            try:
                job.results()
            except Exception as lost:
                print(f"a worker of hydra/launcher=slurm was lost: {str(lost).splitlines()[0]}", file=sys.stderr)


class SweepStop:
    """code: the exit code of the first signal, or None. at_once: the first one is no request but the end."""

    def __init__(self, at_once: bool) -> None:
        self.at_once, self.code = at_once, None

    code: int | None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The first signal lets the jobs save what they have; the second ends them."""
        again, self.code = self.code is not None, CODES[signal.Signals(number)]
        if again or self.at_once:
            raise KeyboardInterrupt
        print("stopping: jobs that run finish their step and save; no other starts", file=sys.stderr)


@contextmanager
def stopping(at_once: bool) -> Iterator[SweepStop]:
    """Within the block the signals that end a run end a sweep."""
    stop = SweepStop(at_once)
    before = {number: signal.signal(number, stop.handle) for number in heeded()}
    try:
        yield stop
    except KeyboardInterrupt:
        if stop.code is None:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
