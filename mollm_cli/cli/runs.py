"""From a command line to runs: everything is composed and checked, then the first directory is made."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override, Quote, QuotedString
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mollm_cli.cli.arguments import Arguments
from mollm_cli.cli.foretelling import foretell
from mollm_cli.configuration import allowance
from mollm_cli.configuration.choices import config_dir
from mollm_cli.configuration.compose import (
    combinations,
    compose_job,
    composed_plain,
    composing,
    job_count,
    jobs,
    parse,
    refuse_sweep,
    rehearse,
    within_limits,
    without_hydra,
)
from mollm_cli.configuration.hydra_node import environment, require_no_runner
from mollm_cli.configuration.programs import Command
from mollm_cli.configuration.request import Request, request
from mollm_cli.configuration.resumed_config import KEYS, Resume, require_lasting, resumed_config, resuming
from mollm_cli.configuration.strangers import check_override
from mollm_cli.configuration.variations import Variations
from mollm_cli.core.budget import budget as allowed
from mollm_cli.core.budget import spending
from mollm_cli.core.errors import RequestError
from mollm_cli.core.manifest import Manifest
from mollm_cli.core.secrets import shown_override, without_secrets
from mollm_cli.launch.door import claim, enter, stdout_kept_for
from mollm_cli.launch.processes import launched, to_start
from mollm_cli.launch.rank import nothing_to_do
from mollm_cli.launch.run_spec import RunSpec
from mollm_cli.reporting import gate_reports
from mollm_cli.sweep.conduct import go_on_with, start
from mollm_cli.sweep.handing_out import check_launching
from mollm_cli.sweep.ledger import SweepLedger
from mollm_cli.sweep.recommend import EXPERIMENT, STOPS
from mollm_cli.sweep.search import require_optuna
from mollm_cli.sweep.spec import GROUP, SweepSpec, budget, expanded, space, sweeping


@dataclass(frozen=True, slots=True)
class _Plan:
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


def compose_and_run(command: Command, arguments: Arguments) -> int:
    """Compose, check, then print the configuration, check the files, or run; returns the exit code.

    Raises RequestError before anything is made on disk.
    """
    with spending(allowance.typed(arguments.overrides)):
        return _compose_and_run(command, arguments)


def _compose_and_run(command: Command, arguments: Arguments) -> int:
    if arguments.resume_sweep is not None:
        return go_on_with(Path(arguments.resume_sweep), command, arguments.overrides, arguments.check)
    with composing():
        overrides = parse([*arguments.overrides, *_searchpath(arguments)])
        sweep = None
        if GROUP in command.groups:
            sweep, overrides = sweeping(overrides, arguments.folders(config_dir()))
            arguments = dataclasses.replace(arguments, multirun=arguments.multirun or sweep is not None)
        if not arguments.multirun:
            refuse_sweep(overrides)
        resume = resuming(overrides)
        if resume is not None:
            if arguments.multirun:
                raise RequestError("resume goes on with one run, found -m or sweep=NAME; leave it out")
            if resume.found != "nothing":
                return _go_on(command, arguments, overrides, resume)
            overrides = [o for o in overrides if o.key_or_group not in KEYS]
        if arguments.cfg is not None:
            return _show(command, arguments, overrides)
        plan = _plan(command, arguments, overrides, sweep, None if resume is None else resume.directory)
    if arguments.plan:
        return foretell(command, arguments, plan.requests)
    if arguments.check:
        return _check(plan.requests)
    directory = claim(plan.directory, again=resume is not None)
    with stdout_kept_for(directory), environment(plan.composed):
        if plan.spec is not None:
            return enter(plan.spec)
        return start(plan.sweep(command.name, directory), plan.composed)


def _searchpath(arguments: Arguments) -> list[str]:
    extra = arguments.folders(config_dir())[1:]
    if extra and any("hydra.searchpath" in text for text in arguments.overrides):
        raise RequestError("--config-dir and hydra.searchpath say the same thing, found both; name all folders in one")
    quoted = [QuotedString(f"file://{folder}", Quote.double).with_quotes() for folder in extra]
    return [f"hydra.searchpath=[{','.join(quoted)}]"] if quoted else []


def _plan(
    command: Command, arguments: Arguments, overrides: list[Override], sweep: SweepSpec | None, place: Path | None
) -> _Plan:
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
        vary = Variations(command)
        requests = [_request(vary.plain(job), command.name) for job in jobs(overrides)]
    else:
        config = composed_plain(base)
        allowance.require_typed(config, allowed())
        spec = RunSpec(command.name, config, str(directory.absolute()), None, list(sys.argv))
        requests = [spec.request]
    _refuse_lost_files(requests)
    _check_processes(requests, arguments.multirun)
    plan = _Plan(texts, base, directory, spec, requests, _fixed(overrides), lines, {})
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


def _announced(plan: _Plan, sweep: SweepSpec, typed: Sequence[Override], overrides: Sequence[Override]) -> _Plan:
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


def _refuse_lost_files(requests: Sequence[Request]) -> None:
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


def _config(composed: DictConfig) -> dict[str, Any]:
    return composed_plain(composed)


def _request(config: dict[str, Any], command: str) -> Request:
    allowance.require_typed(config, allowed())
    return request(config, command)


def _show(command: Command, arguments: Arguments, overrides: Sequence[Override]) -> int:
    if arguments.multirun:
        raise RequestError("--cfg job prints one configuration, found -m or sweep=NAME; leave it out")
    composed = compose_job(command.config, [str(override.input_line) for override in overrides])
    job = without_hydra(composed)
    if arguments.resolve:
        job = OmegaConf.create({key: value for key, value in _config(composed).items() if key != "names"})
    _print(OmegaConf.to_container(job))
    return 0


def _print(config: Any) -> None:
    """As config.yaml would have it, without secrets; what stands in ${} stays."""
    print(OmegaConf.to_yaml(OmegaConf.create(without_secrets(config))), end="")


def _go_on(command: Command, arguments: Arguments, overrides: Sequence[Override], resume: Resume) -> int:
    directory = resume.directory
    if resume.found == "finished":
        with stdout_kept_for(directory):
            return nothing_to_do(Manifest.exit_code(directory))
    config = resumed_config(directory, overrides, command.config)
    spec = RunSpec(command.name, config, str(directory), str(directory), list(sys.argv))
    asked = spec.request
    require_lasting(directory, config)
    _refuse_lost_files([asked])
    if arguments.cfg is not None:
        _print(config)
        return 0
    if arguments.plan:
        return foretell(command, arguments, [asked])
    if arguments.check:
        return _check([asked])
    with stdout_kept_for(directory):
        return enter(spec)


def _check(requests: Sequence[Request]) -> int:
    from mollm_cli import run

    run.check(requests)
    return 0
