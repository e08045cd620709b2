"""The jobs of a sweep, given to what runs them: this process, one after the other, or a launcher."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from omegaconf import DictConfig, OmegaConf, read_write

from mollm_cli.configuration.nodes import construct
from mollm_cli.configuration.targets import LAUNCHERS, TARGET
from mollm_cli.core.discretion import trace
from mollm_cli.core.endings import INTERRUPTED
from mollm_cli.core.errors import RequestError
from mollm_cli.core.secrets import shown_override
from mollm_cli.sweep.job import run_job
from mollm_cli.sweep.ledger import SweepLedger

BASIC = "basic"
SUBDIR = "${hydra:job.num}"


def check_launching(composed: DictConfig, overrides: Sequence[str]) -> None:
    """Raise RequestError where the jobs cannot be run as ``composed``, of the shared ``overrides``, asks for."""
    name, sweeper = (str(composed.hydra.runtime.choices[f"hydra/{part}"]) for part in ("launcher", "sweeper"))
    if sweeper != BASIC:
        raise RequestError(
            f"hydra/sweeper must be {BASIC}, found {sweeper}, which would wait for a value that no run returns; leave "
            "it out, and let sweep=pareto-search search"
        )
    subdir = OmegaConf.to_container(composed.hydra.sweep)["subdir"]  # type: ignore[call-overload, index]
    if subdir != SUBDIR:
        raise RequestError(f"hydra.sweep.subdir must be the number of the job, found {subdir}; leave it out")
    if name == BASIC:
        return
    target = str(composed.hydra.launcher[TARGET])
    if target not in LAUNCHERS:
        raise RequestError(
            f"hydra/launcher must be {BASIC}, local or slurm, found {name}, which would not see what becomes of a job; "
            "choose one of these"
        )
    if target.endswith("SlurmLauncher") and importlib.util.find_spec("submitit") is None:
        raise RequestError(
            f"hydra/launcher={name} must find submitit, found no such package; pip install 'mollm-unlearn[sweep]'"
        )
    for text in overrides:
        if shown_override(text) != text:
            raise RequestError(
                f"hydra/launcher={name} writes its jobs down, found the secret {shown_override(text)} among them; give "
                "it in the environment, or leave hydra/launcher out"
            )
    _built(composed)


def run_jobs(jobs: SweepLedger, first: int, composed: DictConfig) -> int | None:
    """Run the jobs from number ``first`` on that are missing; None, or the exit code of the signal that ended it.

    A job that fails, is refused or is killed stops no other. Jobs are handed out in the order and the batches
    (hydra.sweeper.max_batch_size) of Hydra's own sweeper.
    """
    if str(composed.hydra.runtime.choices["hydra/launcher"]) == BASIC:
        return _one_after_the_other(jobs, first)
    with read_write(composed.hydra):
        composed.hydra.sweep.dir = str(jobs.directory)
    launcher, at_once = _built(composed), composed.hydra.sweeper.get("max_batch_size")
    launcher.setup(hydra_context=None, task_function=None, config=composed)
    for batch in BasicSweeper.split_overrides_to_chunks([list(line) for line in jobs.lines[first:]], at_once):
        try:
            launcher.launch(batch, first)
        except Exception as failed:
            print(trace(failed), file=sys.stderr)
        if launcher.stopped is not None:
            return int(launcher.stopped)
        for number in range(first, first + len(batch)):
            if jobs.state(number) == "missing" and not jobs.ended(number):
                jobs.settle(number, 1)
        first += len(batch)
    return None


def _built(composed: DictConfig) -> Any:
    """The launcher, one of ours. Raises RequestError where its options are wrong."""
    node = OmegaConf.to_container(composed.hydra.launcher, resolve=True)
    return construct(node, "hydra.launcher")


def _one_after_the_other(jobs: SweepLedger, first: int) -> int | None:
    for number in range(first, len(jobs.lines)):
        if jobs.state(number) == "missing":
            print(f"job {number}: {jobs.shown(number)}", file=sys.stderr)
            code = run_job(jobs, number)
            if code in INTERRUPTED:
                return code
    return None
