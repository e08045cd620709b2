"""Command lines made from the configuration tree itself: valid, mistyped and hostile ones, for hypothesis.

Every group and every key that a YAML or the signature of its ``_target_`` knows can be drawn, with values of the type
that the signature asks for, of another type, or made to do harm.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from hypothesis import strategies as st

from mollm_cli.configuration.choices import choices, config_dir, groups
from mollm_cli.configuration.nodes import annotation, parameters
from mollm_cli.configuration.programs import EVALUATE, FINETUNE, UNLEARN, Command
from mollm_cli.configuration.targets import TARGET, locate
from tests.support.odd_words import FLAGS, HOSTILE, ODD_KEYS, WORDS

CONF = config_dir()
PLACES = {
    "dataset": "data.{role}",
    "metric": "evaluation.metrics.extra",
    "attack": "evaluation.attacks.extra",
    "judge": "evaluation.judges.extra",
    "harness": "evaluation.harness",
}
"""Groups that are put into others, and where; the rest are called like their node."""
ROLES = ("forget", "retain", "holdout", "alternate", "forget_test", "sets.extra", "mix.retain.extra")
ROOT = {"seed": int, "run_name": str, "gates": tuple[str, ...], "junit": str | None, "resume": str | None}
SLOW = ("from_model", "openings")
"""Keys of datasets that have the model write texts, as many as are asked for."""
MODES = (("--check",), ("--cfg", "job"), ("--cfg", "job", "--resolve"))


@dataclass(frozen=True, slots=True)
class Typed:
    """A command line as it is typed."""

    command: Command
    words: tuple[str, ...]


@cache
def tree() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """group -> choice -> key -> the type that the target's signature asks for."""
    return {group: {name: _keys(group, name) for name in choices(group, [CONF])} for group in groups([CONF])}


def _keys(group: str, name: str) -> dict[str, Any]:
    """What ``conf/group/name.yaml`` takes: the parameters of its target, and whatever else it says."""
    content = yaml.safe_load((CONF / group / f"{name}.yaml").read_text(encoding="utf-8")) or {}
    node = {**_base(group), **content}
    known: dict[str, Any] = {key: Any for key in node if key not in (TARGET, "defaults")}
    if TARGET in node:
        target = locate(node[TARGET], group)
        known |= {key: annotation(target.func, parameter) for key, parameter in parameters(target).items()}
    return known


def _base(group: str) -> dict[str, Any]:
    """The first file of the group with a target, for choices that only name what differs."""
    for file in sorted((CONF / group).glob("*.yaml")):
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        if TARGET in content:
            return {TARGET: content[TARGET]}
    return {}


def of_type(kind: Any) -> st.SearchStrategy[str]:
    """A value of the type ``kind`` as it is written in an override."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in (None, types.NoneType):
        return st.just("null")
    if kind is bool:
        return st.sampled_from(["true", "false"])
    if kind is int:
        return st.integers(0, 8).map(str) | st.integers(-(2**70), 2**70).map(str)
    if kind is float:
        return st.floats(0, 1).map(repr) | st.floats().map(repr) | st.integers(0, 9).map(str)
    if kind is str:
        return st.sampled_from(WORDS).map(quoted) | st.text(max_size=8).map(quoted)
    if origin is Literal:
        return st.sampled_from([str(argument).lower() for argument in arguments])
    if origin in (Union, types.UnionType):
        return st.one_of([of_type(argument) for argument in arguments])
    if inspect.isclass(origin or kind) and issubclass(origin or kind, Mapping):
        return st.dictionaries(st.sampled_from(["a", "b", "matches"]), scalar(), max_size=2).map(_mapping)
    if inspect.isclass(origin or kind) and issubclass(origin or kind, Sequence):
        inner = of_type(arguments[0]) if arguments else scalar()
        return st.lists(inner, max_size=3).map(lambda values: f"[{','.join(values)}]")
    return scalar()


def scalar() -> st.SearchStrategy[str]:
    """A value of any type."""
    plain = st.one_of(*(of_type(kind) for kind in (int, float, bool, str, None)))
    lists = st.lists(plain, max_size=3).map(lambda values: f"[{','.join(values)}]")
    return plain | lists | st.dictionaries(st.sampled_from(["a", "b"]), plain, max_size=2).map(_mapping)


def quoted(text: str) -> str:
    """``text`` as Hydra's grammar takes it whole."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"') if '"' in text else text
    return f'"{escaped}"' if not escaped.endswith("\\") else f'"{escaped} "'


def _mapping(values: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{key}: {value}" for key, value in values.items()) + "}"


@st.composite
def chosen(draw: st.DrawFn, command: Command) -> tuple[list[str], list[tuple[str, Any]]]:
    """(choices of groups as they are typed, the keys that can be set under them with their types)."""
    typed: list[str] = []
    keys: list[tuple[str, Any]] = list(ROOT.items())
    for group in draw(st.lists(st.sampled_from(command.groups), max_size=3, unique=True)):
        name = draw(st.sampled_from(sorted(tree()[group])))
        place = PLACES.get(group, group).format(role=draw(st.sampled_from(ROLES)))
        if group in PLACES:
            known = group == "dataset" and place in ("data.forget", "data.retain", "data.holdout")
            typed.append(f"{'' if known else '+'}{group}@{place}={name}")
        else:
            typed.append(f"{group}={name}")
        keys += [(f"{place}.{key}", kind) for key, kind in tree()[group][name].items() if key not in SLOW]
    for group, name in {"engine": "default", "evaluation": "quick", "model": "tiny", "data": "authors"}.items():
        if group in command.groups:
            keys += [(f"{group}.{key}", kind) for key, kind in tree()[group][name].items()]
    dataset = tree()["dataset"]["qa-file"].items()
    keys += [(f"data.{role}.{key}", kind) for role in ("forget", "retain") for key, kind in dataset if key not in SLOW]
    return typed, keys


@st.composite
def command_lines(draw: st.DrawFn) -> Typed:
    """A command line of any kind that loads no model."""
    command = draw(st.sampled_from([UNLEARN, UNLEARN, FINETUNE, EVALUATE]))
    typed, keys = draw(chosen(command))
    for key, kind in draw(st.lists(st.sampled_from(keys), max_size=3)):
        sign = draw(_mostly("", st.sampled_from(["+", "++"])))
        value = draw(_mostly(of_type(kind), st.sampled_from(HOSTILE) | scalar()))
        typed.append(f"{sign}{key}={value}")
    if draw(_mostly(False, st.booleans())):
        typed.append(f"{draw(st.sampled_from(ODD_KEYS))}={draw(st.sampled_from([*HOSTILE, *WORDS]))}")
    if draw(_mostly(False, st.booleans())):
        typed.append(draw(st.sampled_from([*HOSTILE, *ODD_KEYS]) | st.text(max_size=20)))
    mode = draw(_mostly(st.sampled_from(MODES), st.lists(st.sampled_from(FLAGS), max_size=3).map(tuple)))
    listed = (draw(st.sampled_from(sorted(tree()))),) if mode[-1:] == ("--list",) else ()
    answered = set(mode) & {"--check", "--cfg", "--help", "--version", "--list"}
    return Typed(command, (*mode, *listed, *(() if answered else ("--check",)), *typed))


def _mostly(common: Any, rare: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """``common`` (a value or a strategy) four times in five, ``rare`` otherwise."""
    usual = common if isinstance(common, st.SearchStrategy) else st.just(common)
    return st.integers(0, 4).flatmap(lambda number: rare if number == 4 else usual)


COSTLY = ("compile", "device", "max_steps", "max_epochs", "attacks", "judges", "harness", "metrics", "oracle", "start")
"""What a short training is not to draw: minutes, memory, another machine."""


@st.composite
def trainings(draw: st.DrawFn) -> Typed:
    """A training whose settings are of the right types, small, and not all allowed."""
    typed = [f"loss={draw(st.sampled_from(['mollm', 'ga', 'ga_kl', 'grad_diff', 'npo', 'simnpo', 'wga', 'undial']))}"]
    typed += draw(_mostly([], st.sampled_from(sorted(tree()["solver"])).map(lambda name: [f"solver={name}"])))
    nodes = {"engine": "default", "optimizer": "adamw", "direction": "default", "evaluation": "quick"}
    keys = {f"{node}.{key}": kind for node, name in nodes.items() for key, kind in tree()[node][name].items()}
    cheap = sorted(key for key in keys if key.rpartition(".")[2] not in COSTLY)
    for key in draw(st.lists(st.sampled_from(cheap), max_size=3, unique=True)):
        typed.append(f"++{key}={draw(_small(keys[key]))}")
    typed.append(f"run_name={quoted(draw(st.sampled_from([word for word in HOSTILE if '/' not in word]) | st.text()))}")
    return Typed(UNLEARN, tuple(typed))


def _small(kind: Any) -> st.SearchStrategy[str]:
    """A value of the type ``kind`` that costs nothing."""
    if get_origin(kind) in (Union, types.UnionType):
        return st.one_of([_small(argument) for argument in get_args(kind)])
    numbers = {int: ["0", "1", "2", "4"], float: ["0", "0.1", "0.5", "1"]}
    return st.sampled_from(numbers[kind]) if kind in numbers else of_type(kind)
