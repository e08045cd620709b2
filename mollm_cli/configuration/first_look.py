"""A first look at a command line, before Hydra is imported: a wrong name, choice or value, a missing file.

It judges what it understands whole (``outline`` of our own files, plain values) and leaves the rest to Hydra, which
comes next and has the last word. Refusals are those that would come later, word for word.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mollm_cli.assets.locate import resolve
from mollm_cli.configuration import allowance
from mollm_cli.configuration.choices import choices
from mollm_cli.configuration.fit import fit
from mollm_cli.configuration.nodes import annotation, construct, parameters
from mollm_cli.configuration.outline import Outline, outline
from mollm_cli.configuration.programs import Command
from mollm_cli.configuration.root_values import VALUES
from mollm_cli.configuration.targets import OWN, TARGET, locate, within
from mollm_cli.configuration.wrong_overrides import no_option, require_run, unknown_key, unreadable
from mollm_cli.core.errors import RequestError

_OVERRIDE = re.compile(r"(\+?)([A-Za-z_][\w/]*(?:@[\w.]+)?(?:\.\w+)*)=(.*)", re.DOTALL)
_PLAIN: dict[str, Callable[[str], Any]] = {
    r"-?(0|[1-9]\d*)": int,
    r"-?(\d+\.\d*|\d*\.\d+|\d+)([eE][+-]?\d+)?": float,
    r"(?i:true|false)": lambda text: text.lower() == "true",
    r"(?i:null)": lambda text: None,
    r"(?!(?i:nan|inf)$)[A-Za-z_./][\w./:-]*": str,
}
"""Values that mean here what they mean to Hydra's grammar."""
UNKNOWN = "${}"
"""A value that is not looked into; ``${...}`` of a file is one."""


@dataclass(frozen=True, slots=True)
class _Typed:
    """An override, read. added: it has a +. value: UNKNOWN where it is not plain."""

    added: bool
    key: str
    text: str
    value: Any


def first_look(command: Command, overrides: Sequence[str], folder: Path) -> None:
    """Raise RequestError for the first of ``overrides`` that our own files, in ``folder``, show to be wrong."""
    for text in overrides:
        if "=" not in text and not text.startswith("~"):
            raise RequestError(unreadable(text))
    allowance.typed(overrides)
    found = [_read(text) for text in overrides]
    typed = [each for each in found if each is not None]
    if len(typed) < len(found) or any(re.split("[./]", each.key)[0] == "hydra" for each in typed):
        return
    for each in typed:
        if each.key == "resume" and each.value not in ("auto", None, UNKNOWN):
            require_run(Path(str(each.value)))
    if {"resume", "sweep"} & {each.key for each in typed}:
        return
    groups = [each for each in typed if (folder / each.key.partition("@")[0]).is_dir()]
    for each in groups:
        if each.value is not None:  # null has a sentence of its own
            _check_choice(each, folder)
    if all(isinstance(each.value, str) and each.value != UNKNOWN for each in groups):
        chosen = {each.key: each.value for each in groups if not each.added}
        added = [(each.key, each.value) for each in groups if each.added]
        _check(command, outline(folder, command.config, chosen, added), typed, groups)


def _read(text: str) -> _Typed | None:
    """None where ``text`` is of another kind than KEY=VALUE."""
    read = _OVERRIDE.fullmatch(text)
    if read is None:
        return None
    value = next((make(read[3]) for form, make in _PLAIN.items() if re.fullmatch(form, read[3])), UNKNOWN)
    return _Typed(bool(read[1]), read[2], read[3], value)


def _check_choice(each: _Typed, folder: Path) -> None:
    group, known = each.key.partition("@")[0], None
    for name in each.text.split(","):
        if re.fullmatch(r"[\w.-]+", name) and not (folder / group / f"{name}.yaml").is_file():
            known = known or list(choices(group, [folder]))
            raise RequestError(no_option(f"{group}/{name}", known))


def _check(command: Command, found: Outline, typed: Sequence[_Typed], groups: Sequence[_Typed]) -> None:
    for each in groups:
        if each.added and "@" not in each.key and each.key in found.chosen:
            return  # there already
        if not each.added and each.key not in found.chosen:
            raise RequestError(unknown_key(each.key, found.tree, list(found.chosen)))
    values = [each for each in typed if each not in groups]
    for each in values:
        if "@" in each.key or "/" in each.key:
            return
        _check_key(each, found)
    for each in values:
        _set(found.tree, each)
    for each in values:
        _check_value(command, found.tree, each)
        _check_file(each)
    for root in dict.fromkeys(each.key.rpartition("@")[2].partition(".")[0] for each in typed):
        if root != allowance.KEY and _ours(node := found.tree.get(root)) and _known(node):
            construct(node, root)


def _check_key(each: _Typed, found: Outline) -> None:
    node: Any = found.tree
    for name in each.key.split("."):
        if not isinstance(node, Mapping) or each.added:
            return
        if name not in node:
            raise RequestError(unknown_key(each.key, found.tree, list(found.chosen)))
        node = node[name]


def _set(tree: dict[str, Any], each: _Typed) -> None:
    *path, last = each.key.split(".")
    node: Any = tree
    for name in path:
        node = node.setdefault(name, {}) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node[last] = each.value


def _check_value(command: Command, tree: Mapping[str, Any], each: _Typed) -> None:
    root, _, below = each.key.partition(".")
    if each.value == UNKNOWN or root == allowance.KEY:
        return
    kind = VALUES[command.name].get(root)
    if below:
        _fit(tree, each)
    elif kind is not None:
        fit(each.value, kind, root)


def _fit(tree: Mapping[str, Any], each: _Typed) -> None:
    *path, last = each.key.split(".")
    node: Any = tree
    for name in path:
        node = node.get(name) if isinstance(node, Mapping) else None
    if _ours(node):
        target = locate(node[TARGET], ".".join(path))
        fit(each.value, annotation(target.func, parameters(target).get(last)), each.key)


def _check_file(each: _Typed) -> None:
    """The readers themselves refuse what is not there; they are imported only then."""
    root, _, last = each.key.rpartition(".")
    if last != "path" or not isinstance(each.value, str) or each.value == UNKNOWN:
        return
    place = resolve(each.value)
    if root == "model" and not place.exists():
        from mollm_cli.models.load_model import source
        from mollm_cli.models.model_settings import Model

        source(Model(each.value))
    elif root.startswith("data.") and not place.exists() and not glob.glob(str(place), recursive=True):  # noqa: PTH207
        from mollm_cli.data.files import find_files

        find_files(each.value, each.key)


def _ours(node: Any) -> bool:
    """True if ``node`` has a target, and all targets in it are of this package: nothing of a user's own runs here."""
    return isinstance(node, Mapping) and TARGET in node and all(within(str(name), OWN) for name in _targets(node))


def _targets(node: Any) -> list[Any]:
    if not isinstance(node, Mapping):
        return []
    inner = [name for value in node.values() for name in _targets(value)]
    return [*inner, node[TARGET]] if TARGET in node else inner


def _known(node: Any) -> bool:
    """True if nothing in ``node`` waits for another key."""
    if isinstance(node, Mapping):
        return all(map(_known, node.values()))
    if isinstance(node, list):
        return all(map(_known, node))
    return not (isinstance(node, str) and "${" in node)
