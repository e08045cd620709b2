from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest

from mollm_cli.configuration.fit import describe, fit
from mollm_cli.core.errors import RequestError


class Named(Protocol):
    """A protocol that isinstance refuses to check."""

    name: str


FITS: list[tuple[object, Any, object]] = [
    (3, int, 3),
    (3, float, 3.0),
    (0.5, float, 0.5),
    (True, bool, True),
    ("a", str, "a"),
    (None, None, None),
    (None, int | None, None),
    ("auto", float | Literal["auto"] | None, "auto"),
    (2, float | Literal["auto"], 2.0),
    ("b", Literal["a", "b"], "b"),
    ([0, 1], tuple[float, float], (0.0, 1.0)),
    (["a"], tuple[str, ...], ("a",)),
    ([], tuple[str, ...], ()),
    (("a",), list[str], ["a"]),
    (["a"], Sequence[str], ("a",)),
    ([1, "x"], list, [1, "x"]),
    (["a"], str | list[str] | None, ["a"]),
    ({"a": 1}, dict[str, float], {"a": 1.0}),
    ({"a": 1}, dict, {"a": 1}),
    ({"a": {"min": 1}, "b": False}, Mapping[str, Any], {"a": {"min": 1}, "b": False}),
    (Path("x"), Path, Path("x")),
    ({"a": 1}, Any, {"a": 1}),
    (5, object, 5),
    (len, Callable[..., int], len),
    (Path("x"), Named, Path("x")),
]


@pytest.mark.parametrize(("value", "annotation", "expected"), FITS, ids=str)
def test_what_fits(value: object, annotation: Any, expected: object) -> None:
    fitted = fit(value, annotation, "key")
    assert fitted == expected and type(fitted) is type(expected)


def test_elements_are_converted_too() -> None:
    assert all(type(item) is float for item in fit([0, 1], tuple[float, ...], "key"))


MISFITS: list[tuple[object, Any, str]] = [
    ("ten", int, "key must be an integer, found 'ten'"),
    (True, int, "key must be an integer, found true"),
    (1.0, int, "key must be an integer, found 1.0"),
    (True, float, "key must be a finite number, found true"),
    (float("inf"), float, "key must be a finite number, found inf"),
    (float("nan"), float | None, "key must be a finite number or null, found nan"),
    ("1", float, "key must be a finite number, found '1'"),
    (1, bool, "key must be true or false, found 1"),
    (None, int, "key must be an integer, found null"),
    (5, str, "key must be text, found 5; to make it text, quote it: 'key=\"5\"'"),
    (False, str | None, "key must be text or null, found false; to make it text, quote it: 'key=\"false\"'"),
    ("x", Literal["auto"], "key must be auto, found 'x'; choices: auto"),
    (
        "lroa",
        Literal["none", "lora"],
        "key must be one of none, lora, found 'lroa'; did you mean 'lora'? choices: lora, none",
    ),
    (1, Literal[True], "key must be True, found 1"),
    ([1], tuple[float, float], "key must be a list of 2 (each a finite number), found [1]"),
    ([1, "x"], tuple[int, ...], "key must be a list (each an integer), found [1, 'x']"),
    ("ab", list[str], "key must be a list (each text), found 'ab'"),
    ("ab", list, "key must be a list, found 'ab'"),
    ({"a": "x"}, dict[str, int], "key must be a mapping, found {'a': 'x'}"),
    ([], dict[str, int], "key must be a mapping, found []"),
    ({"a": 1}, Path, "key must be a Path (a mapping with its _target_), found {'a': 1}"),
    (len, Path, "key must be a Path (a mapping with its _target_), found a builtin_function_or_method"),
    ("x", Named, "key must be a Named (a mapping with its _target_), found 'x'"),
    ("y" * 100, int, f"key must be an integer, found '{'y' * 56}..."),
]


@pytest.mark.parametrize(("value", "annotation", "message"), MISFITS, ids=str)
def test_what_does_not_fit(value: object, annotation: Any, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        fit(value, annotation, "key")
    assert str(refused.value) == message


def test_describe_reads_like_a_sentence() -> None:
    assert describe(int | None) == "an integer or null"
    assert describe(tuple[float, float]) == "a list of 2 (each a finite number)"


def test_the_value_of_a_secret_is_not_told() -> None:
    with pytest.raises(RequestError, match=r"^tracker.api_key must be text, found \*\*\*$"):
        fit(12345678, str, "tracker.api_key")
