"""From a command line to runs: everything is composed and checked, then the first directory is made."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override, Quote, QuotedString
from omegaconf import OmegaConf

from mollm_cli.cli.arguments import Arguments
from mollm_cli.configuration import allowance
from mollm_cli.configuration.choices import config_dir
from mollm_cli.configuration.compose import (
    compose_job,
    composed_plain,
    composing,
    parse,
    refuse_sweep,
    without_hydra,
)
from mollm_cli.configuration.programs import Command
from mollm_cli.configuration.resumed_config import KEYS, Resume, require_lasting, resumed_config, resuming
from mollm_cli.core.budget import spending
from mollm_cli.core.endings import AS_IT_WAS, if_stopped
from mollm_cli.core.errors import RequestError
from mollm_cli.core.manifest import Manifest
from mollm_cli.core.secrets import without_secrets
from mollm_cli.sweep.spec import GROUP, sweeping

if TYPE_CHECKING:
    from mollm_cli.cli.checked_runs import CheckedPlan
    from mollm_cli.configuration.request import Request


def compose_and_run(command: Command, arguments: Arguments) -> int:
    """Compose, check, then print the configuration, check the files, or run; returns the exit code.

    Raises RequestError before anything is made on disk.
    """
    with spending(allowance.typed(arguments.overrides)):
        return _compose_and_run(command, arguments)


def _compose_and_run(command: Command, arguments: Arguments) -> int:
    if arguments.resume_sweep is not None:
        from mollm_cli.sweep.conduct import go_on_with

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
                with if_stopped(AS_IT_WAS):
                    return _go_on(command, arguments, overrides, resume)
            overrides = [o for o in overrides if o.key_or_group not in KEYS]
        if arguments.cfg is not None:
            return _show(command, arguments, overrides)
        from mollm_cli.cli.checked_runs import checked_plan  # what is only shown needs none of it

        plan = checked_plan(command, arguments, overrides, sweep, None if resume is None else resume.directory)
    if arguments.plan:
        return _foretell(command, arguments, plan.requests)
    _require_models(plan.requests)
    return _check(plan.requests) if arguments.check else _run(command, plan, again=resume is not None)


def _require_models(requests: Sequence[Request]) -> None:
    from mollm_cli.models.at_hand import require_at_hand

    for model in {asked.model.path: asked.model for asked in requests}.values():
        require_at_hand(model)


def _run(command: Command, plan: CheckedPlan, again: bool) -> int:
    """The run, or the sweep. again: its directory may be there."""
    from mollm_cli.configuration.hydra_node import environment
    from mollm_cli.launch.door import claim, enter, stdout_kept_for
    from mollm_cli.sweep.conduct import start

    directory = claim(plan.directory, again)
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


def _show(command: Command, arguments: Arguments, overrides: Sequence[Override]) -> int:
    if arguments.multirun:
        raise RequestError("--cfg job prints one configuration, found -m or sweep=NAME; leave it out")
    composed = compose_job(command.config, [str(override.input_line) for override in overrides])
    job = without_hydra(composed)
    if arguments.resolve:
        job = OmegaConf.create({key: value for key, value in composed_plain(composed).items() if key != "names"})
    _print(OmegaConf.to_container(job))
    return 0


def _print(config: Any) -> None:
    """As config.yaml would have it, without secrets; what stands in ${} stays."""
    print(OmegaConf.to_yaml(OmegaConf.create(without_secrets(config))), end="")


def _go_on(command: Command, arguments: Arguments, overrides: Sequence[Override], resume: Resume) -> int:
    from mollm_cli.cli.checked_runs import refuse_lost_files
    from mollm_cli.launch.door import enter, stdout_kept_for
    from mollm_cli.launch.rank import nothing_to_do
    from mollm_cli.launch.run_spec import RunSpec

    directory = resume.directory
    if resume.found == "finished":
        with stdout_kept_for(directory):
            return nothing_to_do(Manifest.exit_code(directory))
    config = resumed_config(directory, overrides, command.config)
    spec = RunSpec(command.name, config, str(directory), str(directory), list(sys.argv))
    asked = spec.request
    require_lasting(directory, config)
    refuse_lost_files([asked])
    if arguments.cfg is not None:
        _print(config)
        return 0
    if arguments.plan:
        return _foretell(command, arguments, [asked])
    _require_models([asked])
    if arguments.check:
        return _check([asked])
    with stdout_kept_for(directory):
        return enter(spec)


def _foretell(command: Command, arguments: Arguments, requests: Sequence[Request]) -> int:
    from mollm_cli.cli.foretelling import foretell

    return foretell(command, arguments, requests)


def _check(requests: Sequence[Request]) -> int:
    from mollm_cli import run

    run.check(requests)
    return 0
