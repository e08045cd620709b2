"""A command line as checked runs: the run or the jobs, and their directory, before anything is made on disk."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mollm_cli.cli.arguments import Arguments
from mollm_cli.configuration import allowance
from mollm_cli.configuration.compose import (
    combinations,
    compose_job,
    composed_plain,
    job_count,
    jobs,
    parse,
    rehearse,
    within_limits,
)
from mollm_cli.configuration.hydra_node import require_no_runner
from mollm_cli.configuration.programs import Command
from mollm_cli.configuration.request import Request, request
from mollm_cli.configuration.strangers import check_override
from mollm_cli.core.budget import budget as allowed
from mollm_cli.core.errors import RequestError
from mollm_cli.core.secrets import shown_override
from mollm_cli.launch.processes import launched, to_start
from mollm_cli.launch.run_spec import RunSpec
from mollm_cli.reporting import gate_reports
from mollm_cli.sweep.handing_out import check_launching
from mollm_cli.sweep.ledger import SweepLedger
from mollm_cli.sweep.recommend import EXPERIMENT, STOPS
from mollm_cli.sweep.search import require_optuna
from mollm_cli.sweep.spec import SweepSpec, budget, expanded, space


@dataclass(frozen=True, slots=True)
class CheckedPlan:
    """The runs to come, checked. composed: the run, or the part that the jobs of a sweep share. directory: its place.

    spec: the run, None of a sweep. requests: what will run, typed; of a sweep the jobs that show every value.
    fixed: the overrides that have one value. lines: the overrides of each job of a sweep.
    named: of ``sweep=NAME`` what is needed at its end.
    """

    overrides: list[str]
    composed: DictConfig
    directory: Path
    spec: RunSpec | None
    requests: list[Request]
    fixed: list[str]
    lines: list[list[str]]
    named: dict[str, Any]

    def sweep(self, command: str, directory: Path) -> SweepLedger:
        """The jobs, whose sweep is in ``directory``."""
        return SweepLedger(directory, command, tuple(self.fixed), tuple(map(tuple, self.lines)), self.named)


def checked_plan(
    command: Command, arguments: Arguments, overrides: list[Override], sweep: SweepSpec | None, place: Path | None
) -> CheckedPlan:
    """place: the run directory, where it has been named (run_dir)."""
    if any(override.get_key_element().lstrip("+~") == "hydra.searchpath" for override in overrides):
        rehearse(command.config, _fixed(overrides))
    base = compose_job(command.config, _fixed(overrides))
    typed = overrides
    if sweep is not None:
        overrides = parse(expanded(sweep, typed, base))
        base = compose_job(command.config, _fixed(overrides))
    if arguments.multirun:
        overrides = [*_params(base, overrides), *overrides]
    require_no_runner(base)
    directory = place or _named(base, arguments.multirun)
    texts = [str(override.input_line) for override in overrides]
    lines = combinations(overrides) if arguments.multirun else []
    if arguments.multirun:
        check_launching(base, texts)
    if arguments.multirun:
        spec = None
        composed = (compose_job(command.config, job) for job in jobs(overrides))
        requests = [_request(composed_plain(job), command.name) for job in composed]
    else:
        config = composed_plain(base)
        allowance.require_typed(config, allowed())
        spec = RunSpec(command.name, config, str(directory.absolute()), None, list(sys.argv))
        requests = [spec.request]
    refuse_lost_files(requests)
    _check_processes(requests, arguments.multirun)
    plan = CheckedPlan(texts, base, directory, spec, requests, _fixed(overrides), lines, {})
    return plan if sweep is None else _announced(plan, sweep, typed, overrides)


def _named(base: DictConfig, multirun: bool) -> Path:
    """The directory that is to be made. Raises RequestError."""
    return Path(within_limits(lambda: {"name": _name(base, multirun)})["name"])


def _name(base: DictConfig, multirun: bool) -> str:
    try:
        return str(base.hydra.sweep.dir if multirun else base.hydra.run.dir)
    except OmegaConfBaseException as refused:
        raise RequestError(
            f"the run directory cannot be named: {str(refused).splitlines()[0]}; correct what stands in ${{}} of "
            "output_root and run_name"
        ) from refused


def _params(base: DictConfig, overrides: Sequence[Override]) -> list[Override]:
    """The keys that a YAML asks Hydra's sweeper to sweep over (hydra.sweeper.params), if they are not typed."""
    typed = {override.get_key_element() for override in overrides}
    params = base.hydra.sweeper.get("params") or {}
    for key, values in params.items():
        check_override(f"{key}={values}", "hydra.sweeper.params")
    return parse([f"{key}={values}" for key, values in params.items() if key not in typed])


def _fixed(overrides: Sequence[Override]) -> list[str]:
    return [str(override.input_line) for override in overrides if not override.is_sweep_override()]


def _announced(
    plan: CheckedPlan, sweep: SweepSpec, typed: Sequence[Override], overrides: Sequence[Override]
) -> CheckedPlan:
    """``plan`` of a named sweep: its budget is told now, what it has found at the end."""
    print(budget(sweep, plan.overrides, plan.requests, job_count(overrides)), file=sys.stderr)
    swept = [override.get_key_element() for override in overrides if override.is_sweep_override()]
    set_there = (*sweep.params, *STOPS, EXPERIMENT)
    line = [t for t in _fixed(typed) if t.partition("=")[0] not in set_there and not t.startswith("hydra.")]
    typed_again = shlex.join(map(shown_override, line))
    named = dataclasses.asdict(sweep) | {"swept": swept, "line": typed_again}
    if not sweep.search:
        return dataclasses.replace(plan, named=named)
    require_optuna(sweep.name)
    return dataclasses.replace(plan, lines=[], named=named | {"space": space(sweep, typed, overrides)})


def refuse_lost_files(requests: Sequence[Request]) -> None:
    """Check that the gates' report can be written, and that no job overwrites another's JUnit file."""
    for asked in requests:
        gate_reports.files(asked.junit, asked.github_summary)
    named = [asked.junit for asked in requests if asked.junit is not None]
    if len(set(named)) < len(named):
        raise RequestError(
            f"junit must name a file for each job of a sweep, found '{named[0]}' for several; put into the name what "
            "differs: 'junit=gates-${hydra:runtime.choices.loss}-${seed}.xml'"
        )


def _check_processes(requests: Sequence[Request], multirun: bool) -> None:
    """Each job has as many processes as it asks for, and a sweep starts its own."""
    place = launched()
    if multirun and place is not None and place[1] > 1:
        raise RequestError(
            f"-m and sweep=NAME must be started once, found {place[1]} processes of one launcher; leave the launcher "
            "out and set engine.processes=N: every job starts its own"
        )
    for asked in requests:
        to_start(asked)


def _request(config: dict[str, Any], command: str) -> Request:
    allowance.require_typed(config, allowed())
    return request(config, command)
