"""Our own YAML files put together without Hydra, for a first look at a command line (configuration/first_look.py).

It follows the defaults lists that conf/ has and no others; a test holds it against Hydra's composition. Values stay as
they are written, ``${...}`` included; Hydra's own node is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mollm_cli.core.safe_yaml import load_yaml

SELF, OVERRIDE, HYDRA = "_self_", "override ", "hydra"
_PACKAGE = re.compile(r"^# @package (\S+)$", re.MULTILINE)
_FLOAT = re.compile(r"-?\d+(\.\d*)?[eE][+-]?\d+")


@dataclass(slots=True)
class Outline:
    """tree: the configuration. chosen: the name per group (``dataset@data.retain``), None where a group is empty.

    read: how many files it took.
    """

    tree: dict[str, Any]
    chosen: dict[str, str | None] = field(default_factory=dict)
    read: int = 0


def outline(folder: Path, primary: str, typed: Mapping[str, str], added: Sequence[tuple[str, str]] = ()) -> Outline:
    """The file ``primary`` of ``folder``, with the choices ``typed`` per group, and those ``added`` at the end.

    Every choice must be there.
    """
    composer = _Composer(folder, dict(typed))
    composer.walk("", primary, "", added)
    tree: dict[str, Any] = {}
    for package, content in composer.contents:
        node = tree
        for name in filter(None, package.split(".")):
            node = _inner(node, name)
        _merge(node, content)
    return Outline(tree, composer.found, len(composer.contents))


@dataclass(slots=True)
class _Composer:
    folder: Path
    choices: dict[str, str]
    contents: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    found: dict[str, str | None] = field(default_factory=dict)

    def walk(self, group: str, name: str, package: str, added: Sequence[tuple[str, str]] = ()) -> None:
        """Add a file and all that its defaults list names, the last of them first: a later one may override."""
        text = (self.folder / group / f"{name}.yaml").read_text(encoding="utf-8")
        if header := _PACKAGE.search(text):
            package = "" if header[1] == "_global_" else header[1]
        content = numbers(load_yaml(text, name)) or {}
        entries: list[Any] = list(content.pop("defaults", []))
        if SELF not in entries:
            entries.insert(0, SELF)
        for entry in entries:
            if isinstance(entry, dict) and next(iter(entry)).startswith(OVERRIDE):
                key, choice = next(iter(entry.items()))
                self.choices.setdefault(_named(*_place(key.removeprefix(OVERRIDE), group, package)), choice)
        before, self.contents = self.contents, []
        parts = []
        for entry in reversed([*entries, *({f"/{key}": choice} for key, choice in added)]):
            self._enter(entry, group, package, content)
            parts.append(self.contents)
            self.contents = []
        self.contents = before + [one for part in reversed(parts) for one in part]

    def _enter(self, entry: Any, group: str, package: str, content: dict[str, Any]) -> None:
        if entry == SELF:
            self.contents.append((package, content))
        elif isinstance(entry, str):
            self.walk(group, entry, package)
        else:
            key, choice = next(iter(entry.items()))
            if key.startswith((OVERRIDE, HYDRA)):
                return
            inner, place = _place(key, group, package)
            named = _named(inner, place)
            chosen = self.choices.get(named, choice)
            self.found[named] = chosen
            if chosen is not None:
                self.walk(inner, chosen, place)


def _place(key: str, group: str, package: str) -> tuple[str, str]:
    """(group, package) of an entry ``key`` in a file of ``group``, whose content goes to ``package``."""
    name, at, where = key.partition("@")
    inner = name[1:] if name.startswith("/") else f"{group}/{name}".lstrip("/")
    if not at:
        own = name.lstrip("/").replace("/", ".")
        return inner, own if name.startswith("/") else f"{package}.{own}".lstrip(".")
    if where == "_here_":
        return inner, package
    if where.startswith("_global_"):
        return inner, where.removeprefix("_global_").lstrip(".")
    return inner, f"{package}.{where}".lstrip(".")


def _named(group: str, package: str) -> str:
    return group if package == group.replace("/", ".") else f"{group}@{package}"


def _merge(node: dict[str, Any], content: Mapping[str, Any]) -> None:
    """Mappings into each other; anything else takes the place of what was there."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            _merge(_inner(node, name), value)
        else:
            node[name] = value


def _inner(node: dict[str, Any], name: str) -> dict[str, Any]:
    """The mapping at ``name``, a new one where another value stood."""
    if not isinstance(node.get(name), dict):
        node[name] = {}
    inner: dict[str, Any] = node[name]
    return inner


def numbers(node: Any) -> Any:
    """``node``, in which 1e-5 is a number, as OmegaConf has it; of YAML 1.1 it is a text."""
    if isinstance(node, Mapping):
        return {name: numbers(value) for name, value in node.items()}
    if isinstance(node, list):
        return [numbers(value) for value in node]
    return float(node) if isinstance(node, str) and _FLOAT.fullmatch(node) else node
