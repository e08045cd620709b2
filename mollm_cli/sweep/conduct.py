"""A sweep from its first job to its summary, and what is missing of one that is there."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from mollm_cli.configuration.compose import compose_job, composing, parse, refuse_sweep
from mollm_cli.configuration.hydra_node import environment, require_no_runner
from mollm_cli.configuration.programs import Command
from mollm_cli.core.discretion import trace
from mollm_cli.core.endings import INTERRUPTED, if_stopped
from mollm_cli.core.errors import RequestError
from mollm_cli.core.owned_folder import opened
from mollm_cli.core.privacy import as_open_as
from mollm_cli.launch.door import stdout_kept_for
from mollm_cli.launch.links import refuse_links
from mollm_cli.launch.lock import held
from mollm_cli.sweep.handing_out import check_launching, run_jobs
from mollm_cli.sweep.ledger import SweepLedger
from mollm_cli.sweep.recommend import recommend
from mollm_cli.sweep.search import front, search
from mollm_cli.sweep.spec import SweepSpec

_WORST_FIRST = (*INTERRUPTED, 1, 2, 3)


def start(jobs: SweepLedger, composed: DictConfig) -> int:
    """Write ``jobs`` down, run them all as ``composed`` says, and return the sweep's exit code."""
    jobs.write()
    return _run(jobs, composed)


def go_on_with(directory: Path, command: Command, typed: Sequence[str], check: bool) -> int:
    """Answer ``--resume-sweep``: run what is missing in ``directory``; check: only say what that is.

    Raises RequestError where that is no sweep of ``command``, or where something else than Hydra's keys and what the
    sweep did not keep (secrets) is given.
    """
    jobs = SweepLedger.read(directory)
    if jobs.command != command.name:
        raise RequestError(
            f"--resume-sweep {directory} must be the command of that sweep, found {command.program}; use "
            f"mollm-{jobs.command}"
        )
    with composing():
        overrides = parse(typed)
        refuse_sweep(overrides)
        hydras, others = _told_apart(overrides)
        jobs = jobs.with_secrets(others).with_base(hydras)
        composed = compose_job(command.config, jobs.base)
        require_no_runner(composed)
        check_launching(composed, jobs.base)
    states = [jobs.state(number) for number in range(len(jobs.lines))]
    missing = jobs.missing()
    counted = ", ".join(f"{states.count(state)} {state}" for state in ("finished", "running", "missing"))
    print(f"{directory}: {len(states)} jobs, {counted}; missing: {missing}", file=sys.stderr)
    if check:
        return 0
    with stdout_kept_for(jobs.directory), environment(composed):
        return _run(jobs, composed)


def _told_apart(overrides: Sequence[Override]) -> tuple[list[str], Mapping[str, str]]:
    """(Hydra's own, the others by key)."""
    texts = {override.get_key_element().lstrip("+~"): str(override.input_line) for override in overrides}
    hydras = [text for key, text in texts.items() if key.startswith(("hydra.", "hydra/"))]
    return hydras, {key: text for key, text in texts.items() if text not in hydras}


def _run(jobs: SweepLedger, composed: DictConfig) -> int:
    """Run what is missing, let a search propose more, tell what came of all. Raises RequestError where it is run."""
    refuse_links(jobs.directory)
    stoppable = if_stopped("jobs that have ended are kept", _again(jobs))
    with stoppable, held(jobs.directory) as alone, as_open_as(jobs.directory):
        if alone is False:
            raise RequestError(f"a sweep must be run by one process, found another at work in '{jobs.directory}'; wait")
        _detach(jobs.directory)
        ended = run_jobs(jobs, 0, composed)
        if ended is None and jobs.named.get("search"):
            jobs, ended = search(jobs, lambda more, first: run_jobs(more, first, composed))
        code = _conclude(jobs, ended)
        for line in _found(jobs):
            print(line, file=sys.stderr)
    return code


def _detach(directory: Path) -> None:
    """Files that Hydra and optuna write to by their names are no other file's (hard links)."""
    with opened(directory) as folder:
        for name in folder.names():
            folder.detach(name)


def _found(jobs: SweepLedger) -> list[str]:
    """The recommendation of a named sweep, or the findings of a search."""
    named = jobs.named
    if not named:
        return []
    if named["search"]:
        return front(jobs)
    sweep = SweepSpec(named["name"], named["params"], named["fixed"])
    return recommend(jobs.directory, sweep, named["swept"], named["line"])


def _conclude(jobs: SweepLedger, ended: int | None) -> int:
    """The summary of a sweep, and its exit code: the worst of its jobs."""
    _summarise(jobs.directory)
    left = jobs.missing()
    if left:
        print(f"{len(left)} of {len(jobs.lines)} jobs are missing; {_again(jobs)} runs those", file=sys.stderr)
    return worst([*([] if ended is None else [ended]), *jobs.codes()])


def _again(jobs: SweepLedger) -> str:
    return f"mollm-{jobs.command} --resume-sweep {shlex.quote(str(jobs.directory))}"


def worst(codes: Iterable[int]) -> int:
    """The exit code of a sweep: interrupted before failed before refused before gate failed before done."""
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), 1 if found - {0} else 0)


def _summarise(sweep_dir: Path) -> None:
    """sweep.csv, sweep.md and sweep.html. What cannot be read or written is told: the exit code stays."""
    from mollm_cli.reporting.run_comparison import write_summary

    try:
        write_summary(sweep_dir)
    except (RequestError, OSError) as refused:
        print(f"sweep.csv is not written: {refused}", file=sys.stderr)
    except Exception as failed:
        print(trace(failed), file=sys.stderr)
