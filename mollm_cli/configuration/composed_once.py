"""Compositions of the same files, made once: the jobs of a sweep differ in values, seldom in files.

Which files a command line asks for, and what they come to together, is three quarters of composing it. Both are kept
by the choices of groups; values are set on a copy. Our own files stay as they are for as long as the process runs,
those of a user's folder for as long as Hydra is initialised.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any, TypeVar

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import DefaultsList, create_defaults_list
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from mollm_cli.configuration.choices import config_dir

T = TypeVar("T")
MOST = 32
"""Lists and compositions that are kept, 0.7 MB the two of them; then they are let go, all of them."""
_list, _compose = create_defaults_list, ConfigLoaderImpl._compose_config_from_defaults_list
_OURS: dict[Any, Any] = {}
_THEIRS: dict[Any, Any] = {}


def compose_once() -> None:
    """From now on Hydra composes the same files once; those of a user's folder are read again."""
    config_loader_impl.create_defaults_list = _listed  # type: ignore[attr-defined]
    ConfigLoaderImpl._compose_config_from_defaults_list = _composed  # type: ignore[assignment,method-assign]
    _THEIRS.clear()


def _listed(
    repo: IConfigRepository, config_name: str | None, overrides_list: list[Override], *how: Any, **named: Any
) -> DefaultsList:
    """The files of a command line, and the overrides that are values, which no file depends on."""
    told = [override for override in overrides_list if not override.is_sweep_override()]
    groups = [each for each in told if repo.group_exists(each.key_or_group) and not isinstance(each.value(), dict)]
    asked = (config_name, *(each.input_line for each in groups), *how, *named.values())
    found = _once(repo, asked, lambda: _list(repo, config_name, groups, *how, **named))
    return replace(found, config_overrides=[each for each in told if each not in groups])


def _composed(loader: ConfigLoaderImpl, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
    asked = tuple(map(astuple, defaults))
    return copy.deepcopy(_once(repo, asked, lambda: _compose(loader, defaults, repo)))


def _once(repo: IConfigRepository, asked: tuple[Any, ...], make: Callable[[], T]) -> T:
    files = [source.path for source in repo.get_sources() if source.scheme() == "file"]
    kept, key = _OURS if set(map(Path, files)) == {config_dir()} else _THEIRS, (*files, asked)
    if key not in kept:
        if len(kept) >= MOST:
            kept.clear()
        kept[key] = make()
    found: T = kept[key]
    return found
