from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from mollm_cli.configuration.choices import config_dir
from mollm_cli.configuration.targets import LAUNCHERS, locate, packaged_targets, require_allowed
from mollm_cli.core.allowed import Allowed, allowing
from mollm_cli.core.errors import RequestError


def grow(**options: int) -> dict[str, int]:
    return options


class Leaf:
    @classmethod
    def fallen(cls) -> Leaf:
        return cls()


@pytest.fixture(autouse=True)
def plants(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package of the user's, which the command line allows; plants_evil is another."""
    package, evil = ModuleType("plants"), ModuleType("plants_evil")
    for target in (grow, Leaf):
        monkeypatch.setattr(target, "__module__", "plants")
        setattr(package, target.__name__, target)
    monkeypatch.setattr(Leaf.fallen.__func__, "__module__", "plants")  # type: ignore[attr-defined]
    evil.grow = grow  # type: ignore[attr-defined]
    package.os, package.evil, package.shell, package.bound = os, evil, os.system, Path("x").unlink  # type: ignore[attr-defined]
    package.part, package.size = functools.partial(os.system, "true"), 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plants", package)
    monkeypatch.setitem(sys.modules, "plants_evil", evil)
    with allowing(Allowed(code=("plants",), line="mollm-unlearn loss=mine")):
        yield package


def test_what_is_of_an_allowed_package_is_found() -> None:
    assert locate("plants.grow", "leaf").func is grow and locate("plants.Leaf", "leaf").func is Leaf
    assert isinstance(locate("plants.Leaf.fallen", "leaf")(), Leaf)


FOREIGN = (
    "os.system", "posix.system", "builtins.eval", "builtins.open", "subprocess.run", "pathlib.Path.unlink",
    "antigravity.geohash", "urllib.request.urlopen", "torch.load", "torch.hub.load", "numpy.load",
    "transformers.AutoModel.from_pretrained", "hydra.utils.instantiate", "sympy.sympify", "psutil.Popen",
    "pygments.lexers.load_lexer_from_file", "mako.template.Template", "submitit.core.utils.pickle_load",
    "functools.partial", "plants_evil.grow",
)  # fmt: skip


@pytest.mark.parametrize("target", FOREIGN)
def test_nothing_else_is_even_imported(target: str) -> None:
    before, root = set(sys.modules), target.partition(".")[0]
    line = f"type: mollm-unlearn loss=mine --allow-code {root}"
    wanted = f"leaf._target_ must name code of mollm_cli or of a package that the command line allows, found '{target}'"
    with pytest.raises(RequestError, match=rf"^{re.escape(wanted)}.*{re.escape(line)}$"):
        locate(target, "leaf")
    assert {name.partition(".")[0] for name in set(sys.modules) - before} <= {"mollm_cli"}


@pytest.mark.parametrize(
    "target", ["mollm_cli.core.manifest.json.loads", "mollm_cli.launch.purge.purge", "mollm_cli.x", *sorted(LAUNCHERS)]
)
def test_of_ours_only_what_conf_names(target: str) -> None:
    with pytest.raises(RequestError, match=r"must be one of the callables that conf/ names, found .*the nearest of"):
        locate(target, "leaf")


@pytest.mark.parametrize(
    ("target", "home"),
    [
        ("plants.os.system", "os"),
        ("plants.os.path.join", "os"),
        ("plants.evil.grow", "plants_evil"),
        ("plants.shell", "posix"),
        ("plants.bound", "pathlib"),
        ("plants.part", "functools"),
        ("plants.grow.__call__", "builtins"),
        ("plants.Leaf.__class__", "builtins"),
        ("plants.Leaf.__init__", "builtins"),
    ],
)
def test_what_an_allowed_package_imports_is_not_its_own(target: str, home: str) -> None:
    wanted = rf"must name code that is defined in plants, found '{target}', which is of {home}\S*\. Write a function"
    with pytest.raises(RequestError, match=wanted):
        locate(target, "leaf")


@pytest.mark.parametrize(
    "target", [5, None, "", "plants", "plants.", "plants..grow", "${x}.grow", "plants.grow;os", ["a.b"]]
)
def test_what_is_no_import_path(target: Any) -> None:
    with pytest.raises(RequestError, match=r"^leaf._target_ must be an import path, found .*; write it out, e.g. pack"):
        locate(target, "leaf")


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("plants.Laef", ": AttributeError: .*Laef|: ModuleNotFoundError: .*"),
        ("plants.Leaf.lost", ": AttributeError: .*lost"),
        ("plants.size", ", which is a int; add the name"),
        ("nowhere.x", ": ModuleNotFoundError: No module named 'nowhere'; correct the path, or put its folder"),
    ],
)
def test_what_is_not_there(target: str, why: str) -> None:
    with (
        allowing(Allowed(code=("plants", "nowhere"))),
        pytest.raises(RequestError, match=rf"^leaf._target_ must name a Python callable, found '{target}'({why})"),
    ):
        locate(target, "leaf")


def test_a_module_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_leaf.py").write_text("1 +")
    monkeypatch.syspath_prepend(str(tmp_path))
    with (
        allowing(Allowed(code=("broken_leaf",))),
        pytest.raises(RequestError, match=r"found 'broken_leaf.x': SyntaxError"),
    ):
        locate("broken_leaf.x", "leaf")


def test_a_package_that_imports_a_module_when_asked_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "forest").mkdir()
    (tmp_path / "forest" / "__init__.py").write_text("")
    (tmp_path / "forest" / "floor.py").write_text("def moss(): return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("forest", "forest.floor"):
        with allowing(Allowed(code=(name,))):
            assert locate("forest.floor.moss", "leaf")() == 1
    with allowing(Allowed(code=("forest.other",))), pytest.raises(RequestError, match=r"--allow-code forest$"):
        locate("forest.floor.moss", "leaf")


def test_the_lists_are_what_conf_names() -> None:
    named = set()
    for file in config_dir().rglob("*.yaml"):
        named |= set(_targets(yaml.safe_load(file.read_text(encoding="utf-8"))))
    assert named == packaged_targets() | LAUNCHERS
    for target in packaged_targets():
        assert require_allowed(target, "x") is None and callable(locate(target, "x"))


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "_target_":
                yield value
            else:
                yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)
