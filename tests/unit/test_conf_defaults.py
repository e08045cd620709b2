"""A default of the code is one that a YAML states: from Python or from the command line, silence means the same."""

from __future__ import annotations

import importlib
import inspect
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import yaml

from mollm_cli.configuration.choices import config_dir

Stated = dict[str, list[Any]]


def _nodes(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if "_target_" in part:
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _nodes(inner)


def _stated() -> dict[str, Stated]:
    """By callable, by argument: what the YAMLs of conf/ give it."""
    found: dict[str, Stated] = defaultdict(lambda: defaultdict(list))
    for file in sorted(config_dir().rglob("*.yaml")):
        for node in _nodes(yaml.safe_load(file.read_text(encoding="utf-8"))):
            for key, value in node.items():
                if not (isinstance(value, str) and "${" in value):  # another key says it
                    found[node["_target_"]][key].append(value)
    return {target: stated for target, stated in found.items() if target.startswith("mollm_cli.")}


STATED = _stated()


def test_a_number_that_is_left_out_is_one_that_a_yaml_states() -> None:
    for target, stated in STATED.items():
        module, _, name = target.rpartition(".")
        arguments = inspect.signature(getattr(importlib.import_module(module), name)).parameters
        silent = {key: arguments[key].default for key in stated if key in arguments}
        numbers = {key: value for key, value in silent.items() if isinstance(value, int | float)}
        assert {key: value for key, value in numbers.items() if value not in stated[key]} == {}, target


def test_hundreds_of_defaults_are_compared() -> None:
    assert sum(len(stated) for stated in STATED.values()) > 200
