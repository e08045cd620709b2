"""Running the jobs of a sweep: one after the other in this process, or by a launcher of Hydra's; then one summary."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig

from mollm_cli.configuration.choices import config_dir
from mollm_cli.core.allowed import allowed
from mollm_cli.core.atomic import write_text
from mollm_cli.core.discretion import trace
from mollm_cli.core.endings import CODES, INTERRUPTED, heeded
from mollm_cli.core.errors import RequestError
from mollm_cli.core.secrets import shown_override
from mollm_cli.sweep.job import STOP, run_job, supervise
from mollm_cli.sweep.ledger import SweepLedger

BASIC = "basic"
LOCAL_AT_ONCE = 2
"""Jobs that submitit_local, which knows no limit of its own, is given at a time."""
ROUNDS = 3
"""How often what a broken pool of workers left undone is handed to a new one, the first time included."""


_WORST_FIRST = (*INTERRUPTED, 1, 2, 3)


def worst(codes: Iterable[int]) -> int:
    """The exit code of a sweep: interrupted before failed before refused before gate failed before done."""
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), 1 if found - {0} else 0)


def hide_secrets(file: Path) -> None:
    """Hydra writes what was typed into a file of the sweep, before its first job."""
    if file.is_file():
        lines = file.read_text(encoding="utf-8").splitlines()
        plain = (
            f"{dash}{shown_override(text)}" for dash, text in (re.findall(r"^(\s*- |)(.*)$", line)[0] for line in lines)
        )
        write_text(file, "".join(f"{line}\n" for line in plain))


def hydra_main(task: Callable[[DictConfig], None], config_name: str, arguments: Sequence[str]) -> None:
    """Hydra's own main on our configuration folder; it reads sys.argv, and here it raises instead of exiting with 1."""
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [sys.argv[0], *arguments]
    hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=config_name)(task)()


def require_launcher(name: str, settings: Any, overrides: Sequence[str]) -> None:
    """Raise RequestError where the launcher is not installed, or would write a secret down."""
    if name == BASIC:
        return
    package = ".".join(str(settings["_target_"]).split(".")[:2])
    try:
        found = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise RequestError(
            f"hydra/launcher={name} must find {package}, found no such package; pip install 'mollm-unlearn[sweep]'"
        )
    for text in overrides:
        if shown_override(text) != text:
            raise RequestError(
                f"hydra/launcher={name} writes its jobs down, found the secret {shown_override(text)} among them; give "
                "it in the environment, or leave hydra/launcher out"
            )


def run_jobs(jobs: SweepLedger, numbers: Sequence[int], config: str, launcher: str) -> int | None:
    """Run ``numbers`` of ``jobs``; None, or the exit code of the signal that ended it before all had run.

    config: the command's primary YAML. A job that fails, is refused or is killed stops no other.
    """
    if launcher != BASIC:
        return _launched(jobs, list(numbers), config, launcher)
    for number in numbers:
        print(f"job {number}: {jobs.shown(number)}", file=sys.stderr)
        code = run_job(jobs, number)
        if code in INTERRUPTED:
            return code
    return None


def _launched(jobs: SweepLedger, numbers: list[int], config: str, launcher: str) -> int | None:
    """The jobs ``numbers`` by a launcher: a sweep over ``sweep_job``, whose task starts the job of that number."""
    directory, front, granted = jobs.directory, os.getpid(), allowed()

    def task(cfg: DictConfig) -> None:
        hide_secrets(directory / "multirun.yaml")
        worker = os.getpid() != front  # joblib with n_jobs=1 has none
        notice = HydraConfig.get().launcher.get("signal_delay_s", 0)
        supervise(directory, int(cfg.sweep_job), worker, notice, granted)

    for _ in range(ROUNDS):
        with _stopping(directory, launcher) as stop:
            broken = _hand_over(task, _line(jobs, numbers, launcher), config, launcher)
        if stop.code is not None:
            return stop.code
        numbers = [number for number in numbers if jobs.state(number) == "missing" and not jobs.ended(number)]
        if not (broken and numbers):
            break
        print(f"a worker of hydra/launcher={launcher} was killed; once more: jobs {numbers}", file=sys.stderr)
    for number in numbers:
        jobs.settle(number, 1)
    return None


def _line(jobs: SweepLedger, numbers: Sequence[int], launcher: str) -> list[str]:
    where = QuotedString(str(jobs.directory), Quote.double).with_quotes()
    line = ["--multirun", *jobs.base, f"+sweep_job={','.join(map(str, numbers))}", f"hydra.sweep.dir={where}"]
    if launcher == "submitit_local" and not any("hydra.sweeper.max_batch_size" in text for text in jobs.base):
        line.append(f"hydra.sweeper.max_batch_size={LOCAL_AT_ONCE}")
    return [*line, "hydra.sweep.subdir=${sweep_job}"]


def _hand_over(task: Any, line: Sequence[str], config: str, launcher: str) -> bool:
    """Whether the launcher lost a worker; what else it refuses is told, and its jobs are left undone."""
    typed = list(sys.argv)
    try:
        composed = _replaced(Sweeper, "validate_batch_is_legal", lambda *_: None)  # by us, before the first one
        with _patient(launcher), composed:
            hydra_main(task, config, line)
    except BrokenProcessPool:
        return True
    except HydraException as refused:
        print(f"hydra/launcher={launcher}: {refused}", file=sys.stderr)
    except Exception as failed:
        print(trace(failed), file=sys.stderr)
    finally:
        sys.argv = typed
    return False


class _Stop:
    """code: the exit code of the first signal, or None."""

    def __init__(self, directory: Path, queued: bool) -> None:
        self.file, self.queued, self.code = directory / STOP, queued, None
        self.file.unlink(missing_ok=True)

    code: int | None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The first signal lets the jobs save what they have; the second, and any where they are queued, is at once."""
        again, self.code = self.code is not None, CODES[signal.Signals(number)]
        if again or self.queued:
            raise KeyboardInterrupt
        self.file.touch()
        print("stopping: jobs that run finish their step and save; no other starts", file=sys.stderr)


@contextmanager
def _stopping(directory: Path, launcher: str) -> Iterator[_Stop]:
    """Within the block the signals of CODES end the sweep; jobs in a queue of Slurm's stay there."""
    stop = _Stop(directory, queued=launcher == "submitit_slurm")
    before = {number: signal.signal(number, stop.handle) for number in heeded()}
    try:
        yield stop
    except KeyboardInterrupt:
        if stop.code is None:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.file.unlink(missing_ok=True)


@contextmanager
def _patient(launcher: str) -> Iterator[None]:
    """Within the block submitit's launcher waits for all jobs; of itself it stops at the first that lost its worker."""
    if not launcher.startswith("submitit"):
        yield
        return
    import submitit

    asked = submitit.Job.results

    def results(job: Any) -> Any:
        try:
            return asked(job)
        except Exception as lost:
            print(f"a worker of hydra/launcher={launcher} was lost: {str(lost).splitlines()[0]}", file=sys.stderr)
            return [JobReturn(status=JobStatus.COMPLETED)]

    with _replaced(submitit.Job, "results", results):
        yield


@contextmanager
def _replaced(owner: type, name: str, by: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, by)
    try:
        yield
    finally:
        setattr(owner, name, before)


def conclude(jobs: SweepLedger, ended: int | None) -> int:
    """The summary of a sweep, and its exit code: the worst of its jobs."""
    summarise(jobs.directory)
    left = jobs.missing()
    if left:
        again = f"mollm-{jobs.command} --resume-sweep {shlex.quote(str(jobs.directory))}"
        print(f"{len(left)} of {len(jobs.lines)} jobs are missing; {again} runs those", file=sys.stderr)
    return worst([*([] if ended is None else [ended]), *jobs.codes()])


def summarise(sweep_dir: Path) -> None:
    """sweep.csv, sweep.md and sweep.html. What cannot be read or written is told: the exit code stays."""
    from mollm_cli.reporting.run_comparison import write_summary

    try:
        write_summary(sweep_dir)
    except (RequestError, OSError) as refused:
        print(f"sweep.csv is not written: {refused}", file=sys.stderr)
    except Exception as failed:
        print(trace(failed), file=sys.stderr)
