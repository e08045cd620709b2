from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from mollm_cli.configuration.nodes import construct
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
def plants(monkeypatch: pytest.MonkeyPatch) -> None:
    """The targets of these tests under one import path."""
    module = ModuleType("plants")
    for target in (Leaf, Tree, unchecked, everything):
        setattr(module, target.__name__, target)
    monkeypatch.setitem(sys.modules, "plants", module)
    if __name__ not in sys.modules:
        monkeypatch.setitem(sys.modules, __name__, ModuleType(__name__))


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
    (_leaf(_target_=5), r"^leaf._target_ must be an import path, found 5"),
    (_leaf(_target_="plants.Laef"), r"^leaf._target_ must name a Python callable, found 'plants.Laef': .*Laef"),
    (_leaf(_target_="nowhere.x"), r"^leaf._target_ must name a Python callable, found 'nowhere.x': .*No module named"),
    (_leaf(_target_="plants"), r"^leaf._target_ must name a Python callable, found 'plants': "),
    ({"a": [_leaf(rate="x")]}, r"^leaf.a\[0\].rate must be a finite number"),
]


@pytest.mark.parametrize(("node", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_is_refused(node: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message) as refused:
        construct(node, "leaf")
    assert "\n" not in str(refused.value)


FOREIGN = {
    "os.system": "os",
    "posix.system": "posix",
    "builtins.eval": "builtins",
    "builtins.open": "builtins",
    "subprocess.run": "subprocess",
    "sys.path": "sys",
    "pathlib.Path.unlink": "pathlib",
    "antigravity.geohash": "antigravity",  # opens a browser when it is imported
    "urllib.request.urlopen": "urllib",
    "torch.load": "torch",
    "torch.hub.load": "torch",
    "numpy.load": "numpy",
    "transformers.AutoModel.from_pretrained": "transformers",
    "hydra.utils.instantiate": "hydra",
    "mollm_cli.run.manifest.platform.node": "platform",  # through the imports of a module of ours
    "mollm_cli.run.manifest.Path.write_text": "pathlib",
    "plants.shell": "posix",  # under another name
    "plants.bound": "pathlib",
}


@pytest.mark.parametrize("target", FOREIGN)
def test_nothing_of_other_libraries_is_called(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["plants"], "shell", os.getcwd, raising=False)
    monkeypatch.setattr(sys.modules["plants"], "bound", Path("x").unlink, raising=False)
    before = set(sys.modules)
    wanted = f"of mollm_cli or of yours, found '{target}', which is of the library {FOREIGN[target]}. Write a function"
    with pytest.raises(RequestError, match=re.escape(f"leaf._target_ must name a Python callable {wanted}")):
        construct(_leaf(_target_=target), "leaf")
    assert "antigravity" not in set(sys.modules) - before


def test_what_hydra_screens_is_refused_under_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["plants"], "shell", os.system, raising=False)
    with pytest.raises(RequestError, match=r"must name a Python callable, found 'plants.shell': .*os.system"):
        construct(_leaf(_target_="plants.shell"), "leaf")


def test_a_function_that_takes_any_key_gets_it() -> None:
    assert construct({"_target_": "plants.everything", "a": 1}, "x") == {"a": 1}
