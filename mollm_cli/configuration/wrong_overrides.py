"""Messages about an override as it was typed: no such name, no such choice, no such grammar. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from mollm_cli.configuration.choices import HIDDEN
from mollm_cli.configuration.targets import TARGET
from mollm_cli.core.errors import RequestError, nearest
from mollm_cli.core.safe_yaml import DEEPEST


def no_option(file: str, options: Sequence[str]) -> str:
    """A choice ``file`` (group/name) that its group has not."""
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
    if isinstance(node, Mapping):
        return f"{key} is a mapping, whose new keys are added with a plus: +{key}.NAME=VALUE, or '+{key}={{...}}'"
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


def require_run(directory: Path) -> None:
    """Raise RequestError where ``directory``, the value of ``resume``, is not one that a run left to go on with."""
    for needed in ("config.yaml", "resume"):
        if not (directory / needed).exists():
            raise RequestError(
                f"resume must name a run directory with config.yaml and resume/, found no {needed} in '{directory}'; "
                "start the run again, with engine.checkpoint_every=N to leave resume points"
            )
