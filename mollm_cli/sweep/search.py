"""A search for the Pareto front of forgetting and keeping: optuna proposes the jobs of a sweep, some at a time.

What has been proposed, and what came of it, is in SWEEP_DIR/search.journal; the values are those by which
mollm-compare draws the front: the distance of the forget probability to its yardstick, or where there is none the
forget probability itself (less is better), and the retain probability (more is better).
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mollm_cli.core.endings import INTERRUPTED
from mollm_cli.core.errors import RequestError
from mollm_cli.core.manifest import Manifest
from mollm_cli.sweep.ledger import SweepLedger

if TYPE_CHECKING:
    import optuna

JOURNAL = "search.journal"
STARTUP = 8
"""Trials that are drawn at random before the sampler learns from them."""


def require_optuna(name: str) -> None:
    """Raise RequestError where optuna is not installed."""
    if importlib.util.find_spec("optuna") is None:
        raise RequestError(f"sweep={name} must find optuna, found no such package; pip install 'mollm-unlearn[optuna]'")


def search(jobs: SweepLedger, run: Callable[[SweepLedger, int], int | None]) -> tuple[SweepLedger, int | None]:
    """Propose and ``run`` jobs until there are as many as asked for; returns all of them, and what ended it, or None.

    run: takes all jobs and the number of the first one that is new; returns what ended it, or None.
    Jobs that failed are no part of what the sampler learns from; one that is run again and finishes is.
    """
    options = jobs.named["search"]
    study = _study(jobs.directory, int(options.get("seed", 0)))
    _tell(study, jobs)
    ended: int | None = None
    while ended is None and (left := int(options["trials"]) - len(jobs.lines)) > 0:
        first = len(jobs.lines)
        for _ in range(min(left, int(options.get("at_once", 1)))):
            jobs = _proposed(study, jobs)
        jobs.write()
        ended = run(jobs, first)
        _tell(study, jobs)
    return jobs, ended


def front(jobs: SweepLedger) -> list[str]:
    """The result so far, one line for each trial that no other one dominates."""
    study = _study(jobs.directory, 0)
    told = [f"sweep={jobs.named['name']}: {len(study.best_trials)} of {len(jobs.lines)} trials are on the front"]
    for trial in sorted(study.best_trials, key=lambda each: each.values):
        drawn = " ".join(f"{key}={_spelled(value)}" for key, value in trial.params.items())
        forget, retain = trial.values
        told.append(f"job {trial.user_attrs['job']}: forget {forget:.4f}, retain {retain:.4f}: {drawn}")
    return told


class _Alone:
    """No lock: only the process that holds the sweep directory writes there, and network filesystems know no locks."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _study(directory: Path, seed: int) -> optuna.Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(directory / JOURNAL), lock_obj=_Alone()))  # type: ignore[arg-type]
    study = optuna.create_study(
        study_name="search", storage=storage, directions=["minimize", "maximize"], load_if_exists=True
    )
    drawn = len(study.trials)  # a sampler keeps no state: one that goes on must not draw the same again
    study.sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=seed + drawn)
    return study


def _proposed(study: optuna.Study, jobs: SweepLedger) -> SweepLedger:
    """``jobs`` with one more."""
    space = {key: _distribution(of) for key, of in jobs.named["space"].items()}
    trial = study.ask(space)
    trial.set_user_attr("job", len(jobs.lines))
    fixed = [text for text in jobs.base if not text.lstrip("+~").startswith(("hydra.", "hydra/"))]
    searchpath = [text for text in jobs.base if text.startswith("hydra.searchpath")]
    line = (*fixed, *searchpath, *(f"{key}={_spelled(value)}" for key, value in trial.params.items()))
    return dataclasses.replace(jobs, lines=(*jobs.lines, line))


def _distribution(of: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(of, Mapping):
        return CategoricalDistribution(list(of))
    low, high = of["low"], of["high"]
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=bool(of.get("log", False)), step=int(of.get("step", 1)))
    return FloatDistribution(low, high, log=bool(of.get("log", False)), step=of.get("step"))


def _spelled(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _tell(study: optuna.Study, jobs: SweepLedger) -> None:
    """Tell the study the results of jobs that it does not know yet; a job that is to go on stays open."""
    from optuna.trial import TrialState, create_trial

    known = {trial.user_attrs.get("job") for trial in study.get_trials(states=[TrialState.COMPLETE])}
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING, TrialState.FAIL]):
        job = trial.user_attrs.get("job")
        values = None if job is None or job >= len(jobs.lines) else _values(jobs, job)
        if trial.state == TrialState.FAIL:
            if values is not None and job not in known:
                params, space = trial.params, trial.distributions
                study.add_trial(
                    create_trial(params=params, distributions=space, values=values, user_attrs={"job": job})
                )
        elif values is not None:
            study.tell(trial.number, values)
        elif job is None or job >= len(jobs.lines) or _failed(jobs, job):
            study.tell(trial.number, state=TrialState.FAIL)


def _failed(jobs: SweepLedger, job: int) -> bool:
    return jobs.ended(job) and Manifest.exit_code(jobs.folder(job)) not in INTERRUPTED


def _values(jobs: SweepLedger, job: int) -> tuple[float, float] | None:
    """(forget, retain) of a job that has finished."""
    from mollm_cli.reporting.comparison.front import distance, point
    from mollm_cli.reporting.comparison.run_rows import row_of
    from mollm_cli.reporting.run_files import read_run

    if jobs.state(job) != "finished":
        return None
    row = row_of(read_run(jobs.folder(job)))
    place = point(row, to_yardstick=distance(row) is not None)
    return None if place is None else (place.forget, place.retain)
