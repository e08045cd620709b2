"""Things that strangers' YAML files may not decide: code, the environment, and how Hydra runs jobs.

Looked at when a file is read, before Hydra or OmegaConf resolves anything of it; and once more when all is composed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mollm_cli.configuration.allowance import KEY as LIMITS
from mollm_cli.configuration.choices import config_dir
from mollm_cli.configuration.targets import TARGET, require_allowed
from mollm_cli.core.allowed import VARIABLE, allowed
from mollm_cli.core.errors import RequestError
from mollm_cli.core.safe_yaml import load_yaml

_OPENED = re.compile(r"\$\{([^:{}$]*)([:}]?)\s*([^\s,:{}$]*)")
_RESOLVERS = ("now", "embedded_oracle")
_OF_HYDRA = re.compile(r"runtime\.choices\..+|job\.num")
"""Places that ``${hydra:...}`` may read. The rest knows what was typed, and with hydra.job.env_copy the environment."""
_CODE = ("setup", "additional_parameters", "submitit_folder")
"""Keys of our launchers that hold commands, or say where pickles lie."""
_FREE = ("hydra.run.dir", "hydra.sweep.dir", "hydra.searchpath", "hydra.sweeper.params", "hydra.sweeper.max_batch_size")
"""Keys of Hydra's that any file may set, with all below them; plain options of a known launcher beside them."""
_MADE = ("hydra.runtime", "hydra.overrides", "hydra.mode", "hydra.job.override_dirname", "hydra.job.config_name")
"""Keys of Hydra's that composing itself fills in."""
_NONE = {"version": 1, "root": None, "disable_existing_loggers": False}
_LOGGERS = ("hydra.job_logging", "hydra.hydra_logging")
_LOGGING = {f"{logger}.{key}": value for logger in _LOGGERS for key, value in _NONE.items()}
"""Hydra logs nothing: logging has factories that call anything."""


def check_content(node: Any, file: str, key: str = "") -> None:
    """Raise RequestError for the first thing in ``node``, of ``file``, that a stranger's file must not say."""
    for place, value in _values(node, key):
        if place.rpartition(".")[2] == TARGET:
            require_allowed(value, place.removesuffix(TARGET).rstrip("."), file)
        elif isinstance(value, str):
            check_text(value, f"{file}: {place}")


def check_text(text: str, place: str) -> None:
    """Raise RequestError where ``text``, found at ``place``, reads what is the user's: the environment, what was typed.

    An interpolation that is escaped counts as one: who resolves a text again would read it.
    """
    for head, end, first in _OPENED.findall(text):
        name = "".join(head.split())
        if end == ":" and name == "oc.env":
            if first.strip("'\"") not in allowed().variables:
                flag = f"{VARIABLE} {first.strip(chr(34) + chr(39)) or 'NAME'}"
                raise RequestError(
                    f"{place} must not read the environment unasked, found ${{oc.env:{first}}}. If whoever is told the "
                    f"value may know it, type: {allowed().with_flag(flag)}"
                )
        elif end == ":" and name not in _RESOLVERS and not (name == "hydra" and _OF_HYDRA.fullmatch(first)):
            raise RequestError(
                f"{place} must use no ${{...}} but names of keys, now, hydra:runtime.choices and hydra:job.num, found "
                f"${{{name}:{first}}}; write the value out, or type it on the command line"
            )
        elif end != ":" and (not end or _first(name) == "hydra"):
            raise RequestError(
                f"{place} must spell out what stands in ${{}}, which is no key of Hydra's, found '{text[:80]}'; write "
                "the value out, or type it on the command line"
            )


def check_override(text: str, file: str) -> None:
    """Raise RequestError where an override that ``file`` holds, as one that was typed, says what it must not."""
    key, _, value = text.partition("=")
    key = key.lstrip("+~").strip()
    check_text(text, f"{file}: {key}")
    if key.rpartition(".")[2] == TARGET:
        require_allowed(value.strip("'\""), key.removesuffix(f".{TARGET}"), file)
    if key.partition(".")[0] == LIMITS and key not in allowed().keys:
        raise RequestError(
            f"{file}: {key} is for the command line alone to raise, found {text}. If you mean it, type: "
            f"{allowed().with_flag(text)}"
        )
    if key.partition("@")[0].startswith("hydra/"):
        if key not in ("hydra/launcher", "hydra/sweeper"):
            _refuse_hydra(key.replace("/", "."), file)
    elif key.partition(".")[0] == "hydra" and not _is_free(key, _plain_keys()) and key not in allowed().keys:
        _refuse_hydra(key, file)


def check_composed(composed: DictConfig, own: Callable[[], DictConfig]) -> None:
    """Raise RequestError where the tree that Hydra and this package are to build from names code that is not allowed.

    own: composes the same of our own files alone. What other files set below ``hydra``, was not typed and may run
    something (a launcher's commands, variables of the environment, callbacks) is refused.
    """
    values = flat(composed)
    for place, value in values.items():
        if place.rpartition(".")[2] == TARGET:
            require_allowed(value, place.removesuffix(f".{TARGET}"))
        elif _below(place, _LOGGERS) and _LOGGING.get(place, place) != value:
            _refuse_hydra(place, "a file")
    if OmegaConf.to_container(composed, resolve=False)["hydra"]["searchpath"]:  # type: ignore[call-overload, index]
        same = flat(own()) | _launchers().get(str(values.get(f"hydra.launcher.{TARGET}")), {})
        for place, value in values.items():
            if place.startswith("hydra.") and not _harmless(place, value, same):
                _refuse_hydra(place, "a file")


def flat(node: DictConfig) -> dict[str, Any]:
    """The values of ``node`` as they stand there, not resolved, by dotted key."""
    return dict(_values(OmegaConf.to_container(node, resolve=False), ""))


def _harmless(place: str, value: Any, same: Mapping[str, Any]) -> bool:
    if place.rpartition(".")[2] == TARGET or _below(place, _MADE):
        return True
    return same.get(place, place) == value or _is_free(place, same) or _below(place, allowed().keys)


def _is_free(place: str, known: Collection[str]) -> bool:
    """True if any file may set ``place``: a plain option of a launcher of ours is among the ``known`` keys."""
    option = place in known and place.startswith("hydra.launcher.") and place.split(".")[2] not in _CODE
    return option or _below(place, _FREE)


def _below(place: str, keys: Sequence[str]) -> bool:
    return any(f"{place}.".startswith((f"{key}.", f"{key}[")) for key in keys)


def _refuse_hydra(place: str, file: str) -> None:
    group = next((key.replace(".", "/", 1) for key in _LOGGERS if _below(place, (key,))), None)
    if group is not None:
        raise RequestError(f"{group} must be none, because logging can call anything, found {place}; leave it out")
    raise RequestError(
        f"{place} must be typed on the command line, because it decides what is run, found in {file} alone; "
        f"if you mean it, type {place}=VALUE"
    )


@cache
def _launchers() -> dict[str, dict[str, Any]]:
    """target -> key -> value of our own launchers."""
    files = sorted((config_dir() / "hydra" / "launcher").glob("*.yaml"))
    nodes = [load_yaml(file.read_text(encoding="utf-8"), str(file)) for file in files]
    return {node[TARGET]: dict(_values(node, "hydra.launcher")) for node in nodes if TARGET in node}


def _plain_keys() -> frozenset[str]:
    return frozenset(key for values in _launchers().values() for key in values)


def _first(path: str) -> str:
    """The first key of an interpolation, relative ones too."""
    return next((part for part in re.split(r"[.\[\]]+", path) if part), "")


def _values(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every value with its dotted key; keys are values too, since a text may stand there. An empty node is one."""
    if isinstance(node, Mapping) and node:
        for name, value in node.items():
            if isinstance(name, str) and "${" in name:
                yield key, name
            yield from _values(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list | tuple) and node:
        for index, value in enumerate(node):
            yield from _values(value, f"{key}[{index}]")
    else:
        yield key, node
