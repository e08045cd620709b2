from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from mollm_cli.configuration.nodes import construct
from mollm_cli.core.allowed import Allowed, allowing
from mollm_cli.core.errors import RequestError

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass(frozen=True)
class Leaf:
    rate: float
    betas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError("leaf.rate must be >= 0")


@dataclass(frozen=True)
class Tree:
    leaf: Leaf
    more: dict[str, Leaf]


def unchecked(amount: Decimal, free=1):  # type: ignore[no-untyped-def]
    return amount, free


def everything(**options: int) -> dict[str, int]:
    return options


@pytest.fixture(autouse=True)
def plants(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The targets of these tests in one package, which is allowed."""
    module = ModuleType("plants")
    for target in (Leaf, Tree, unchecked, everything):
        monkeypatch.setattr(target, "__module__", "plants")
        setattr(module, target.__name__, target)
    monkeypatch.setitem(sys.modules, "plants", module)
    with allowing(Allowed(code=("plants",))):
        yield


def _leaf(**values: Any) -> dict[str, Any]:
    return {"_target_": "plants.Leaf", "rate": 1, **values}


def test_nodes_are_built_from_the_inside_out() -> None:
    node = {"_target_": "plants.Tree", "leaf": _leaf(betas=[0, 1]), "more": {"a": _leaf(), "b": _leaf(rate=2)}}
    assert construct(node, "tree") == Tree(Leaf(1.0, (0.0, 1.0)), {"a": Leaf(1.0), "b": Leaf(2.0)})


def test_plain_values_stay_plain() -> None:
    assert construct({"a": [1, {"b": None}]}, "x") == {"a": [1, {"b": None}]}


def test_an_annotation_for_checkers_only_lets_everything_pass() -> None:
    assert construct({"_target_": "plants.unchecked", "amount": "x", "free": [1]}, "x") == ("x", [1])


WRONG = [
    (_leaf(raet=1), r"^leaf.raet is not a key; did you mean 'rate'\? choices: rate, betas$"),
    (_leaf(rate="x"), r"^leaf.rate must be a finite number, found 'x'$"),
    (_leaf(rate="???"), r"^leaf.rate is required and has no default; set leaf.rate=VALUE$"),
    ({"_target_": "plants.Leaf"}, r"^leaf.rate is required and has no default; set \+leaf.rate=VALUE$"),
    (_leaf(rate=-1), r"^leaf.rate must be >= 0$"),
    (_leaf(_partial_=True), r"^leaf._partial_ is not a key"),
    ({"a": [_leaf(rate="x")]}, r"^leaf.a\[0\].rate must be a finite number"),
]


@pytest.mark.parametrize(("node", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_is_refused(node: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message) as refused:
        construct(node, "leaf")
    assert "\n" not in str(refused.value)


def test_a_function_that_takes_any_key_gets_it() -> None:
    assert construct({"_target_": "plants.everything", "a": 1}, "x") == {"a": 1}
