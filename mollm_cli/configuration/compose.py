"""Composing a configuration with Hydra before anything is made on disk."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mollm_cli.configuration.choices import config_dir
from mollm_cli.configuration.refusals import explain
from mollm_cli.configuration.strangers import check_composed
from mollm_cli.configuration.wrong_overrides import depth, nameless, several_values, too_deep, unreadable
from mollm_cli.configuration.yaml_source import check_files
from mollm_cli.core.bounded import bounded
from mollm_cli.core.errors import RequestError
from mollm_cli.core.safe_yaml import DEEPEST


def embedded_oracle(model_path: str, data_name: str) -> str | None:
    """The embedded oracle where the embedded model meets the embedded authors; elsewhere there is none to offer."""
    return "embedded:oracle" if (model_path, data_name) == ("embedded:tiny", "authors") else None


OmegaConf.register_new_resolver("embedded_oracle", embedded_oracle, replace=True)

_NO_FILE = re.compile(r"(?!file://)\b\w+://[^,\]\"']*")
_HERE = os.getpid()
MOST_CHECKED = 512
"""Jobs of a sweep that are composed and checked before the first one starts."""


@contextmanager
def composing() -> Iterator[None]:
    """Hydra, initialised on our configuration folder, for as long as the block runs."""
    check_files()
    with initialize_config_dir(str(config_dir()), job_name="mollm", version_base="1.3"):
        yield


def parse(overrides: Sequence[str]) -> list[Override]:
    """The overrides, read by Hydra's grammar. Raises RequestError that says what to quote."""
    loader: ConfigLoader = GlobalHydra.instance().config_loader()
    parser = OverridesParser.create(config_loader=loader)
    for text in overrides:
        if depth(text) > DEEPEST:
            raise RequestError(too_deep(text))
    try:
        read = parser.parse_overrides(list(overrides))
    except OverrideParseException as refused:
        raise RequestError(unreadable(refused.override)) from refused
    for override in read:
        if not override.key_or_group:
            raise RequestError(nameless(str(override.input_line)))
    return read


def compose_job(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """The configuration of one run, with its ``hydra`` node. Raises RequestError with the nearest valid names."""
    try:
        return _compose(config_name, overrides)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as refused:
        text = str(refused)
        raise RequestError(explain(refused, lambda: _known(config_name, overrides, text))) from refused
    except RecursionError as circle:
        raise RequestError(
            "a defaults list must not lead back to its own file, found YAML files that name each other without end; "
            f"take one out of the other's defaults, or leave it out of the command line: {' '.join(overrides)[:300]}"
        ) from circle


def _compose(config_name: str, overrides: Sequence[str]) -> DictConfig:
    for text in overrides:
        if text.partition("=")[0] == "hydra.searchpath" and (other := _NO_FILE.search(text)):
            raise RequestError(
                f"hydra.searchpath must name folders, found {other[0]}, which would run a package; name the folder"
            )
    composed = compose(config_name, overrides=list(overrides), return_hydra_config=True)
    check_composed(composed, lambda: _own(config_name))
    HydraConfig.instance().set_config(composed)
    return composed


@cache
def _own(config_name: str) -> DictConfig:
    """The configuration that our own files alone compose."""
    return compose(config_name, overrides=[], return_hydra_config=True)


def _known(config_name: str, overrides: Sequence[str], refusal: str) -> tuple[DictConfig, list[str]]:
    """The names to choose from: the configuration and its groups, without the overrides that ``refusal`` quotes."""
    innocent = [text for text in overrides if f"'{text.lstrip('+~').split('=')[0]}'" not in refusal]
    try:
        composed = _compose(config_name, innocent)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError):
        composed = _compose(config_name, [])
    return without_hydra(composed), list(names(composed.hydra.runtime.choices, also_empty=True))


def without_hydra(composed: DictConfig) -> DictConfig:
    """``composed`` without Hydra's own node; interpolations that read it still resolve."""
    job = composed.copy()
    with open_dict(job):
        del job["hydra"]
    return job


def names(choices: Mapping[Any, Any], also_empty: bool = False) -> dict[str, str]:
    """The chosen option per group of ours; groups with none chosen only if ``also_empty``."""
    ours = {str(group): name for group, name in choices.items() if not str(group).startswith("hydra")}
    return {group: str(name) for group, name in ours.items() if also_empty or name is not None}


def container(config: DictConfig, **how: Any) -> dict[str, Any]:
    """``config`` as plain dicts and lists. how: as OmegaConf.to_container has it."""
    found: Any = OmegaConf.to_container(config, **how)
    return dict(found)


def plain(job: DictConfig, choices: Mapping[Any, Any]) -> dict[str, Any]:
    """The resolved configuration of a job as plain dicts and lists, with ``names``. Raises RequestError."""
    return {**within_limits(lambda: _resolved(job)), "names": names(choices)}


def composed_plain(composed: DictConfig) -> dict[str, Any]:
    """``plain`` of a configuration with its ``hydra`` node, whose own values are resolved within limits as well."""

    def work() -> dict[str, Any]:
        with suppress(OmegaConfBaseException):  # what cannot be resolved is refused where it is asked for
            OmegaConf.to_container(composed.hydra, resolve=True, throw_on_missing=False)
        return resolved(composed)

    return within_limits(work)


def resolved(composed: DictConfig) -> dict[str, Any]:
    """``composed_plain`` in this process, without limits. Raises RequestError.

    In a process of its own nothing is copied first, which takes as long as composing.
    """
    chosen = names(composed.hydra.runtime.choices)
    if os.getpid() == _HERE:
        return {**_resolved(without_hydra(composed)), "names": chosen}
    with open_dict(composed):
        del composed["hydra"]
    return {**_resolved(composed), "names": chosen}


def rehearse(config_name: str, overrides: Sequence[str]) -> None:
    """Compose and resolve within limits what files of others have a part in. Raises RequestError."""

    def work() -> dict[str, Any]:
        composed = compose_job(config_name, overrides)
        with suppress(OmegaConfBaseException):  # what cannot be resolved is refused where it is asked for
            OmegaConf.to_container(composed, resolve=True, throw_on_missing=False)
        return {}

    within_limits(work)


def _resolved(job: DictConfig) -> dict[str, Any]:
    try:
        return container(job, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException as refused:
        raise RequestError(explain(refused, lambda: (job, []))) from refused


def within_limits(
    work: Callable[[], dict[str, Any]], again: Callable[[], dict[str, Any]] | None = None
) -> dict[str, Any]:
    """The result of ``work``, within limits, since a few ${...} can expand to any length. Raises RequestError.

    again: what is done here where the result is one that JSON has not; ``work`` where it is None.
    """

    def both() -> list[Any]:
        found = work()
        as_json = json.loads(json.dumps(found, default=str)) == found  # keys that are numbers, bytes: not JSON's
        return [as_json, found if as_json else None]

    as_json, found = bounded("composing the configuration", both, "Write out what stands in its ${...}")
    return dict(found) if as_json else (again or work)()


def jobs(overrides: Sequence[Override]) -> list[list[str]]:
    """The overrides of each job of a sweep, first as few jobs as show every value once: what is wrong is found early.

    Of more than MOST_CHECKED jobs only those few. A sweep that its sweeper alone can expand (an interval) is left out.
    """
    axes = _axes(overrides)
    few = [[axis[index % len(axis)] for axis in axes] for index in range(max(map(len, axes), default=1))]
    if math.prod(map(len, axes)) > MOST_CHECKED:
        return few
    return few + [job for job in map(list, itertools.product(*axes)) if job not in few]


def combinations(overrides: Sequence[Override]) -> list[list[str]]:
    """The overrides of every job, in the order of Hydra's own sweeper: the values of the last key change first.

    Hydra's own keys, which say how jobs are run, are in none, but for the search path. Raises RequestError.
    """
    own = [override for override in overrides if not _of_hydra(override)]
    for override in overrides:
        if override.is_sweep_override() and (_of_hydra(override) or not override.is_discrete_sweep()):
            raise RequestError(
                f"a sweep must have values that it can list, of a key of ours, found {override.input_line}; write the "
                "values out, or let sweep=pareto-search draw them"
            )
    return list(map(list, itertools.product(*_axes(own))))


def _of_hydra(override: Override) -> bool:
    key = override.get_key_element().lstrip("+~")
    return key.split(".")[0].split("/")[0] == "hydra" and key != "hydra.searchpath"


def job_count(overrides: Sequence[Override]) -> int:
    """The number of jobs that ``overrides`` make; a sweep that its sweeper alone can expand is not counted."""
    return math.prod(map(len, _axes(overrides)))


def _axes(overrides: Sequence[Override]) -> list[list[str]]:
    return [values for override in overrides if (values := _axis(override))]


def _axis(override: Override) -> list[str]:
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [str(override.input_line)]
    return [f"{key}={value}" for value in override.sweep_string_iterator()] if override.is_discrete_sweep() else []


def refuse_sweep(overrides: Sequence[Override]) -> None:
    """Without -m a key has one value. Raises RequestError."""
    for override in overrides:
        if override.is_sweep_override():
            raise RequestError(several_values(override.get_key_element(), override.get_value_string()))
