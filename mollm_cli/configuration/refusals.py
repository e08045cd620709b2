"""Hydra's refusals in our words: what must hold, what was found, what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from hydra.errors import MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from mollm_cli.configuration.choices import HIDDEN
from mollm_cli.configuration.nodes import required
from mollm_cli.configuration.targets import TARGET
from mollm_cli.core.errors import nearest
from mollm_cli.core.safe_yaml import DEEPEST

Known = Callable[[], tuple[Mapping[Any, Any], Sequence[str]]]
"""The configuration and the groups that names are looked for in; composed only where a message needs them."""

_UNKNOWN = re.compile(r"Could not (?:override|delete from config\.) '(?P<key>[^']+)'")
_MISSING = re.compile(r"Missing mandatory value: (?P<key>\S+)")
_MERGING = re.compile(r"Error merging override (?P<override>.*)", re.DOTALL)
_TAKEN = re.compile(r"An item is already at '(?P<key>[^']+)'|Multiple values for (?P<group>[^.]+)\.")


def explain(refused: Exception, known: Known) -> str:
    """One line for what Hydra, OmegaConf or the YAML reader refused."""
    text = str(refused)
    if isinstance(refused, MissingConfigException) and refused.missing_cfg_file:
        return _no_option(str(refused.missing_cfg_file), refused.options or ())
    if unknown := _UNKNOWN.search(text):
        return unknown_key(unknown["key"], *known())
    if taken := _TAKEN.search(text):
        key = taken["key"] or taken["group"]
        return f"{key} is there already; leave out the + and write {key}=VALUE"
    if missing := _MISSING.search(text):
        return required(missing["key"])
    if merging := _MERGING.match(text):
        why = str(refused.__cause__ or "it does not fit there").splitlines()[0].rstrip(".")
        return f"{merging['override']} cannot be set: {why}; see --cfg job for what stands there"
    if isinstance(refused, OmegaConfBaseException):
        return f"{refused.full_key}: {refused.msg or refused}".splitlines()[0]
    if text.startswith("Config group override must be"):
        return f"a group must be given the name of one of its choices: {text}; see --list GROUP"
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def _no_option(file: str, options: Sequence[str]) -> str:
    group, _, name = file.rpartition("/")
    visible = [option for option in options if not option.startswith(HIDDEN)]
    if not visible:
        return f"{group}={name}: the group '{group}' has no such choice, and no other; add yours with --config-dir DIR"
    return f"{group} must be one of its choices, found '{name}'; {nearest(name, visible)}"


def unknown_key(key: str, config: Mapping[Any, Any], groups: Sequence[str]) -> str:
    """The place where a dotted ``key`` (or group@package) leaves the tree ``config``, and the nearest names there."""
    if "@" in key:
        packaged = [group for group in groups if group.startswith(f"{key.partition('@')[0]}@")]
        return f"{key} is not in the defaults list; {nearest(key, packaged)}; to add it: +{key}=NAME"
    node: Any = config
    path: list[str] = []
    for part in key.split("."):
        if not isinstance(node, Mapping):
            return f"{'.'.join(path)} is a single value and has no key '{part}'; set {'.'.join(path)}=VALUE"
        path.append(part)
        if part not in node:
            extra = [g for g in groups if "@" not in g] if len(path) == 1 else []
            return f"{'.'.join(path)} is not a key; {nearest(part, {*map(str, node), *extra} - {TARGET})}"
        node = node[part]
    return f"{key} cannot be set like this; --cfg job shows every key with a value that it takes"


def unreadable(override: str) -> str:
    """An override that the grammar does not know."""
    key, equals, value = override.partition("=")
    if not equals:
        return f"an override must read KEY=VALUE, found '{override}'; see --help"
    escaped = value.replace('"', '\\"')
    return (
        f"{override} cannot be read, because = ( ) [ ] {{ }} , : have a meaning of their own in a value; "
        f"quote it: '{key}=\"{escaped}\"'"
    )


def nameless(override: str) -> str:
    """An override of nothing: ``+=VALUE``."""
    return f"an override must name a key, found '{override}'; write KEY=VALUE"


def depth(override: str) -> int:
    """The greatest depth of nested brackets; quoted ones count too."""
    levels = accumulate((c in "[{(") - (c in "]})") for c in override)
    return max(levels, default=0)


def too_deep(override: str) -> str:
    """An override on which Hydra's parser, which calls itself for each bracket, would run out of stack."""
    key = override.partition("=")[0]
    found = f"{key[:60]}: brackets must stand at most {DEEPEST} deep in each other, found {depth(override)}"
    return f"{found}; write it plainer"


def several_values(key: str, values: str) -> str:
    """A comma, or a sweep function, without -m."""
    return (
        f"{key} must have one value, found '{values}'; add -m for one run each, or write a list as '{key}=[{values}]', "
        f"or a text as '{key}=\"{values}\"'"
    )
