"""The code that a configuration may name: a list of what is allowed, not of what is not."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Collection
from functools import cache
from types import ModuleType
from typing import Any

from mollm_cli.configuration.choices import config_dir
from mollm_cli.core.allowed import CODE, allowed
from mollm_cli.core.errors import RequestError, nearest

TARGET = "_target_"
OWN = "mollm_cli"
LAUNCHERS = {"mollm_cli.sweep.launchers.LocalLauncher", "mollm_cli.sweep.launchers.SlurmLauncher"}
"""The launchers, which run the jobs of a sweep; no other node may name one."""
OF_HYDRA = {
    "hydra.launcher": LAUNCHERS | {"hydra._internal.core_plugins.basic_launcher.BasicLauncher"},
    "hydra.sweeper": {"hydra._internal.core_plugins.basic_sweeper.BasicSweeper"},
}
"""By node of Hydra's own: what may stand there unasked."""
NAMED = re.compile(r"^[^#\n]*\b_target_: *(mollm_cli\.[\w.]+)", re.MULTILINE)
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


@cache
def packaged_targets() -> frozenset[str]:
    """The import paths below ``mollm_cli`` that a file of conf/ names: what a configuration may call unasked."""
    texts = (file.read_text(encoding="utf-8") for file in config_dir().rglob("*.yaml"))
    return frozenset(name for text in texts for name in NAMED.findall(text)) - LAUNCHERS


def require_allowed(target: object, key: str, file: str = "") -> str | None:
    """The allowed package that ``target``, the ``_target_`` of the node ``key``, is of; nothing is imported.

    None for a callable that conf/ names; any other is in a package that the command line names. file: the one that it
    was read from, whose place in the whole is not known yet. Raises RequestError.
    """
    place = f"{file}: {key}{'.' if key else ''}{TARGET}" if file else f"{key}.{TARGET}"
    if not isinstance(target, str) or not _PATH.fullmatch(target):
        raise RequestError(f"{place} must be an import path, found {target!r}; write it out, e.g. package.module.Name")
    if target in (_of_files() if file else _of_node(key)):
        return None
    for package in allowed().code:
        if within(target, package):
            return package
    root = target.partition(".")[0]
    if root == OWN:
        raise RequestError(
            f"{place} must be one of the callables that conf/ names, found '{target}'; "
            f"{nearest(target, packaged_targets())}"
        )
    raise RequestError(
        f"{place} must name code of mollm_cli or of a package that the command line allows, found '{target}'. "
        f"If that package is yours, or you have read it, type: {allowed().with_flag(f'{CODE} {root}')}"
    )


def _of_node(key: str) -> Collection[str]:
    return OF_HYDRA.get(key, ()) if key.partition(".")[0] == "hydra" else packaged_targets()


def _of_files() -> Collection[str]:
    return packaged_targets().union(*OF_HYDRA.values())


def within(name: str, package: str) -> bool:
    """True if the dotted ``name`` is ``package`` or below it."""
    return f"{name}.".startswith(f"{package}.")


def locate(target: object, key: str) -> functools.partial[Any]:
    """The callable at the import path ``target``, not called yet. Raises RequestError.

    It is one that conf/ names, or is defined in the package that is allowed, not merely imported there:
    ``my_package.os.system`` is no code of ``my_package``. The module that it stands in is imported, and so runs.
    """
    package = require_allowed(target, key)
    path = str(target)  # it is one: that has been looked at
    try:
        found = _walked(path, package, key)
    except Exception as failed:
        if isinstance(failed, RequestError):
            raise
        why = f"{type(failed).__name__}: {' '.join(str(failed).split())[:200]}"
        raise RequestError(
            f"{key}.{TARGET} must name a Python callable, found '{target}': {why}; correct the path, or put its folder "
            "into PYTHONPATH"
        ) from failed
    if isinstance(found, ModuleType) or not callable(found):
        raise RequestError(
            f"{key}.{TARGET} must name a Python callable, found '{target}', which is a {type(found).__name__}; add the "
            "name of a class or function in it"
        )
    if package is not None:
        _require_home(getattr(found, "__module__", None) or type(found).__module__, path, package, key)
    return functools.partial(found)


def _walked(target: str, package: str | None, key: str) -> Any:
    """The object at ``target``; no step leads through a module of another package."""
    first, *rest = target.split(".")
    path, found = first, importlib.import_module(first)
    for name in rest:
        path = f"{path}.{name}"
        try:
            found = getattr(found, name)
        except AttributeError:
            if not isinstance(found, ModuleType):
                raise
            found = importlib.import_module(path)
        if isinstance(found, ModuleType) and package is not None and not within(package, found.__name__):
            _require_home(found.__name__, target, package, key)
    return found


def _require_home(module: str, target: str, package: str, key: str) -> None:
    if not within(module, package):
        raise RequestError(
            f"{key}.{TARGET} must name code that is defined in {package}, found '{target}', which is of {module}. "
            "Write a function of your own that checks what it is given, and name that"
        )
