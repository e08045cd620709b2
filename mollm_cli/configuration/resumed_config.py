"""Going on with a run: its own configuration is the base, only what is typed now is applied."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mollm_cli.configuration import allowance
from mollm_cli.configuration.compose import compose_job, container, plain, within_limits, without_hydra
from mollm_cli.configuration.refusals import explain
from mollm_cli.configuration.strangers import check_content
from mollm_cli.configuration.targets import NAMED, packaged_targets
from mollm_cli.configuration.wrong_overrides import require_run, unknown_key
from mollm_cli.core.budget import Budget
from mollm_cli.core.errors import RequestError
from mollm_cli.core.manifest import Manifest
from mollm_cli.core.safe_yaml import check_yaml
from mollm_cli.core.secrets import HIDDEN
from mollm_cli.resume.lasting import numbers, require_same

KEYS = ("resume", "run_dir")
SEARCHPATH = "hydra.searchpath"
CHANGEABLE = ("tracker",)
"""Groups of which a run that goes on may choose another; resume/lasting.py says it of values."""
FINISHED = ("completed", "gate_failed")


@dataclass(frozen=True, slots=True)
class Resume:
    """directory: where writing goes on. found: "nothing" (start there), "unfinished" (go on) or "finished"."""

    directory: Path
    found: str


def resuming(overrides: Sequence[Override]) -> Resume | None:
    """The run that ``resume`` and ``run_dir`` among ``overrides`` name; None for a fresh run. Raises RequestError."""
    given = {o.key_or_group: o.value() for o in overrides if o.key_or_group in KEYS and not o.is_delete()}
    resume, run_dir = given.get("resume"), given.get("run_dir")
    if run_dir is not None and resume != "auto":
        raise RequestError(
            f"run_dir goes with resume=auto, found run_dir={run_dir}; add resume=auto, or use output_root=DIR"
        )
    if resume is None:
        return None
    if resume == "auto":
        if run_dir is None:
            raise RequestError("resume=auto must know its directory, found none; add run_dir=DIR")
        return automatic(Path(str(run_dir)))
    directory = Path(str(resume))
    require_run(directory)
    return Resume(directory.absolute(), "unfinished")


def automatic(directory: Path) -> Resume:
    """The answer of resume=auto to ``directory``.

    A configuration that cannot be read is taken from the command line again; what resume/ holds is gone on with.
    """
    if Manifest.read(directory).get("status") in FINISHED:
        return Resume(directory.absolute(), "finished")
    try:
        ready = (directory / "resume").exists() and bool(_stored(directory))
    except RequestError as refused:
        print(f"warning: {refused}", file=sys.stderr)
        ready = False
    return Resume(directory.absolute(), "unfinished" if ready else "nothing")


def resumed_config(directory: Path, overrides: Sequence[Override], primary: str) -> dict[str, Any]:
    """The configuration of the run in ``directory`` with ``overrides`` applied. primary: the command's YAML of conf/.

    A group may be named again, as a loop that repeats its command line does, but not changed. Raises RequestError.
    """
    return within_limits(lambda: _resumed(directory, overrides, primary))


def _resumed(directory: Path, overrides: Sequence[Override], primary: str) -> dict[str, Any]:
    config = _stored(directory)
    file = directory / "config.yaml"
    _require_same_code(file)
    check_content(OmegaConf.to_container(config, resolve=False), str(file))
    with open_dict(config):
        config[allowance.KEY] = allowance.node(Budget())  # not what the run directory says
    chosen: Mapping[str, str] = config.get("names", {})
    folders = [override for override in overrides if override.key_or_group == SEARCHPATH]
    for override in sorted(overrides, key=lambda each: each.key_or_group not in CHANGEABLE):  # choices before values
        group = override.get_key_element().lstrip("+~")
        if override.key_or_group in (*KEYS, SEARCHPATH):
            continue
        if group in CHANGEABLE and not override.is_delete():
            _choose(config, override, folders, primary)
        elif group in chosen:
            _same(group, chosen[group], override)
        else:
            _apply(config, override, list(chosen))
    resumed = container(config)
    _given_again(resumed, "")
    return resumed


def _require_same_code(file: Path) -> None:
    """Refuse a run whose configuration names code of ours that is elsewhere now: its numbers may be others too."""
    unknown = sorted(set(NAMED.findall(file.read_text(encoding="utf-8"))) - packaged_targets()) if file.exists() else []
    if unknown:
        raise RequestError(
            f"resume must name a run that this version can go on with, found {unknown[0]} in {file}, which another "
            "version had; go on with that version (manifest.json names it), or start a new run"
        )


def require_lasting(directory: Path, config: Mapping[str, Any]) -> None:
    """Raise RequestError where the run in ``directory`` began with other values of what its numbers depend on."""
    before = container(_stored(directory))
    require_same(numbers(before), numbers(config))


def _stored(directory: Path) -> DictConfig:
    file = directory / "config.yaml"
    if not file.exists():
        return OmegaConf.create({})
    if not file.is_file():  # a pipe would be waited for
        raise _unreadable(file, "a folder, a pipe or a device in its place")
    try:
        check_yaml(file.read_text(encoding="utf-8"), str(file))
        config = OmegaConf.load(file)
    except (OSError, ValueError, RequestError, yaml.YAMLError, OmegaConfBaseException) as refused:
        raise _unreadable(file, str(refused).splitlines()[0]) from refused
    if not isinstance(config, DictConfig) or not config:
        raise RequestError(
            f"resume must find the run's configuration, found no mapping in {file}; start a new run, or repeat the "
            "whole command line with resume=auto run_dir=DIR"
        )
    return config


def _unreadable(file: Path, why: str) -> RequestError:
    return RequestError(
        f"resume must find the run's configuration, found {file} unreadable: {why}; start a new run, or repeat the "
        "whole command line with resume=auto run_dir=DIR"
    )


def _choose(config: DictConfig, override: Override, folders: Sequence[Override], primary: str) -> None:
    """Another choice of a group that may change, with the values of its YAML."""
    group = override.key_or_group
    composed = compose_job(primary, [str(each.input_line) for each in (*folders, override)])
    fresh = plain(without_hydra(composed), composed.hydra.runtime.choices)
    if config.get("names", {}).get(group) == fresh["names"].get(group):
        return
    with open_dict(config):
        config[group] = fresh[group]
        config["names"][group] = fresh["names"][group]


def _given_again(node: Any, key: str) -> None:
    """A secret is not written into config.yaml: a run that has one is given it again."""
    for name, value in node.items() if isinstance(node, Mapping) else ():
        if value == HIDDEN:
            raise RequestError(f"{key}{name} is a secret that no run directory keeps, found ***; add {key}{name}=VALUE")
        _given_again(value, f"{key}{name}.")


def _same(group: str, chosen: str, override: Override) -> None:
    if override.is_delete() or override.value() != chosen:
        raise RequestError(
            f"a resumed run must keep {group}={chosen}, found {override.input_line}; leave it out, or start a new run"
        )


def _apply(config: DictConfig, override: Override, groups: Sequence[str]) -> None:
    key = override.get_key_element().lstrip("+~")
    adds = override.is_add() or override.is_force_add()
    missing = object()
    try:
        if not adds and OmegaConf.select(config, key, default=missing) is missing:
            raise RequestError(unknown_key(key, config, groups))
        with open_dict(config):
            if override.is_delete():
                parent, _, name = key.rpartition(".")
                del (OmegaConf.select(config, parent) if parent else config)[name]
            else:
                OmegaConf.update(config, key, override.value(), merge=True, force_add=adds)
    except OmegaConfBaseException as refused:
        raise RequestError(explain(refused, lambda: (config, groups))) from refused
