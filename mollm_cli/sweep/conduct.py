"""A sweep from its first job to its summary, and what is missing of one that is there."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from mollm_cli.configuration.compose import compose_job, composing, parse, refuse_sweep
from mollm_cli.configuration.hydra_node import environment, require_no_runner
from mollm_cli.configuration.programs import COMMANDS, Command
from mollm_cli.core.errors import RequestError
from mollm_cli.core.owned_folder import opened
from mollm_cli.core.privacy import as_open_as
from mollm_cli.launch.door import stdout_kept_for
from mollm_cli.launch.links import refuse_links
from mollm_cli.launch.lock import held
from mollm_cli.sweep.launchers import BASIC, conclude, require_launcher, run_jobs
from mollm_cli.sweep.ledger import SweepLedger
from mollm_cli.sweep.recommend import recommend
from mollm_cli.sweep.search import front, search
from mollm_cli.sweep.spec import SweepSpec

SUBDIR = "${hydra:job.num}"


def chosen_launcher(base: DictConfig, overrides: Sequence[str]) -> str:
    """The launcher that ``base``, composed of ``overrides``, asks for. Raises RequestError where it cannot be."""
    name, sweeper = (str(base.hydra.runtime.choices[f"hydra/{part}"]) for part in ("launcher", "sweeper"))
    if sweeper != BASIC:
        raise RequestError(
            f"hydra/sweeper must be {BASIC}, found {sweeper}, which would wait for a value that no run returns; leave "
            "it out, and let sweep=pareto-search search"
        )
    subdir = OmegaConf.to_container(base.hydra.sweep)["subdir"]  # type: ignore[call-overload, index]
    if subdir != SUBDIR:
        raise RequestError(f"hydra.sweep.subdir must be the number of the job, found {subdir}; leave it out")
    require_launcher(name, base.hydra.launcher, overrides)
    return name


def start(jobs: SweepLedger, launcher: str) -> int:
    """Write ``jobs`` down, run them all, and return the sweep's exit code."""
    jobs.write()
    return _run(jobs, range(len(jobs.lines)), launcher)


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
        launcher = chosen_launcher(composed, jobs.base)
    states = [jobs.state(number) for number in range(len(jobs.lines))]
    missing = jobs.missing()
    counted = ", ".join(f"{states.count(state)} {state}" for state in ("finished", "running", "missing"))
    print(f"{directory}: {len(states)} jobs, {counted}; missing: {missing}", file=sys.stderr)
    if check:
        return 0
    with stdout_kept_for(jobs.directory), environment(composed):
        return _run(jobs, missing, launcher)


def _told_apart(overrides: Sequence[Override]) -> tuple[list[str], Mapping[str, str]]:
    """(Hydra's own, the others by key)."""
    texts = {override.get_key_element().lstrip("+~"): str(override.input_line) for override in overrides}
    hydras = [text for key, text in texts.items() if key.startswith(("hydra.", "hydra/"))]
    return hydras, {key: text for key, text in texts.items() if text not in hydras}


def _run(jobs: SweepLedger, numbers: Sequence[int], launcher: str) -> int:
    """Run ``numbers``, let a search propose more, and tell what came of all. Raises RequestError where it is run."""
    config = COMMANDS[jobs.command].config
    refuse_links(jobs.directory)
    with held(jobs.directory) as alone, as_open_as(jobs.directory):
        if alone is False:
            raise RequestError(f"a sweep must be run by one process, found another at work in '{jobs.directory}'; wait")
        _detach(jobs.directory)
        ended = run_jobs(jobs, numbers, config, launcher)
        if ended is None and jobs.named.get("search"):
            jobs, ended = search(jobs, lambda more, new: run_jobs(more, new, config, launcher))
        code = conclude(jobs, ended)
        for line in _found(jobs):
            print(line, file=sys.stderr)
    return code


def _detach(directory: Path) -> None:
    """Files that Hydra and optuna write to by their names are no other file's (hard links)."""
    with opened(directory) as folder:
        for name in folder.names():
            folder.detach(name)


def _found(jobs: SweepLedger) -> list[str]:
    """What a named sweep recommends, or a search has found."""
    named = jobs.named
    if not named:
        return []
    if named["search"]:
        return front(jobs)
    sweep = SweepSpec(named["name"], named["params"], named["fixed"])
    return recommend(jobs.directory, sweep, named["swept"], named["line"])
