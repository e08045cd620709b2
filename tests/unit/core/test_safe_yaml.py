from __future__ import annotations

import re

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.safe_yaml import load_yaml

LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(30))
PROBLEMS = {
    "a billion laughs": (LAUGHS, "f.yaml: must come to at most 100000 values, found more: its aliases"),
    "a list in itself": ("a: &a [*a]", "f.yaml: must come to at most 100000 values"),
    "merged again and again": (
        "a0: &a0 {x: 1}\n" + "".join(f"a{n + 1}: &a{n + 1} {{b: *a{n}, c: *a{n}}}\n" for n in range(30)),
        "must come to at most",
    ),
    "lists in lists": ("[" * 50_000, "f.yaml: lists and mappings must stand at most 32 deep in each other, found more"),
    "indentation": ("".join(" " * n + "a:\n" for n in range(500)), "must stand at most 32 deep"),
    "a large file": (
        "a" * ((1 << 20) + 1),
        "f.yaml: a configuration must have at most 1048576 characters, found 1048577",
    ),
    "no YAML": ("a: [", "f.yaml: must be YAML, found: while parsing a flow node"),
    "a control character": ("a: \x00", "f.yaml: must be YAML, found: "),
    "a Python object": (
        "a: !!python/object/apply:os.getcwd []",
        "f.yaml: must be YAML, found: could not determine a con",
    ),
    "no day": ("a: 2026-02-30", "f.yaml: must be YAML, found: day is out of range"),
    "an alias of nothing": ("a: *b", "f.yaml: must "),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_yaml_that_is_refused(name: str) -> None:
    text, message = PROBLEMS[name]
    with pytest.raises(RequestError, match=re.escape(message)) as refused:
        load_yaml(text, "f.yaml")
    assert len(str(refused.value)) < 600


def test_ordinary_anchors_are_read() -> None:
    assert load_yaml("a: &a {x: 1}\nb: *a\nc: [*a, &s 2, *s]", "f.yaml") == {
        "a": {"x": 1},
        "b": {"x": 1},
        "c": [{"x": 1}, 2, 2],
    }
