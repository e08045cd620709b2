"""The house rules that a machine can hold."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mollm_cli"
SOURCES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted(file for folder in ("tests", "benchmarks", "embedded") for file in (ROOT / folder).rglob("*.py"))
FORBIDDEN = {"utils", "util", "helpers", "helper", "common", "misc"}
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X])\b")
"""In brackets, or this file would hold them."""
Node = TypeVar("Node", bound=ast.AST)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _tracked() -> list[Path]:
    """Text files that git knows, or would add. Empty outside a repository."""
    line = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    files = [ROOT / name for name in done.stdout.splitlines()]
    return [file for file in files if file.is_file() and file.suffix not in (".safetensors", ".png")]


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _nodes(kind: type[Node], files: list[Path] = SOURCES) -> Iterator[tuple[Path, Node]]:
    return ((file, node) for file in files for node in ast.walk(_tree(file)) if isinstance(node, kind))


def _lines(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def test_the_import_contracts_hold() -> None:
    line = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Contracts: 2 kept, 0 broken." in done.stdout


def test_files_are_short() -> None:
    assert [_name(file) for file in [*SOURCES, *TESTS] if _lines(file) > 300] == []
    assert statistics.median(map(_lines, SOURCES)) < 100


def test_functions_are_short() -> None:
    found = ((file, node) for kind in (ast.FunctionDef, ast.AsyncFunctionDef) for file, node in _nodes(kind))
    long = [f"{_name(file)}: {node.name}" for file, node in found if (node.end_lineno or 0) - node.lineno + 1 >= 50]
    assert long == []


def test_inheritance_is_no_deeper_than_one() -> None:
    """A class of ours that others extend extends none of ours itself; the tree of errors aside."""
    classes = [node for file, node in _nodes(ast.ClassDef) if file.name != "errors.py"]
    bases = {node.name: {ast.unparse(base) for base in node.bases} for node in classes}
    deep = [
        name for name, parents in bases.items() if any(bases.get(parent, set()) & bases.keys() for parent in parents)
    ]
    assert deep == []


def _imports(file: Path) -> set[Path]:
    """The files of the package that ``file`` imports, wherever in it and for whomever (type checkers too)."""
    named: list[str] = []
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            named += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
    files = (ROOT / f"{name.replace('.', '/')}.py" for name in named if name.startswith("mollm_cli."))
    return {found for found in files if found.is_file() and found != file}


def test_no_files_import_each_other_in_a_circle() -> None:
    """Whoever imports only files that are gone can go too; what is left then stands in a circle, or above one."""
    left = {file: _imports(file) for file in SOURCES}
    while free := [file for file, wanted in left.items() if not wanted & left.keys()]:
        for file in free:
            del left[file]
    assert [_name(file) for file in left] == []


def test_each_name_is_used_once() -> None:
    """A file name stands for one thing, and so does a class name."""
    files = [file.stem for file in SOURCES if file.stem not in ("__init__", "__main__")]
    classes = [node.name for _, node in _nodes(ast.ClassDef)]
    assert [name for names in (files, classes) for name, count in Counter(names).items() if count > 1] == []


def test_types_say_what_is_there() -> None:
    """Neither an assertion nor a cast stands in for a type: a field that may be None is one that may really be None."""
    asserted = [f"{_name(file)}:{node.lineno}" for file, node in _nodes(ast.Assert)]
    cast = [f"{_name(file)}:{node.lineno}" for file, node in _nodes(ast.Call) if ast.unparse(node.func) == "cast"]
    assert asserted + cast == []


def test_docstrings_begin_with_their_subject() -> None:
    questions = re.compile(r'^\s*r?"""(What|Which|How|Where|Whether)\b', re.MULTILINE)
    assert [_name(file) for file in SOURCES if questions.search(file.read_text(encoding="utf-8"))] == []


def test_there_is_no_room_for_odds_and_ends() -> None:
    parts = {part.removesuffix(".py") for file in SOURCES for part in file.relative_to(PACKAGE).parts}
    assert not FORBIDDEN & parts


def test_nothing_is_left_to_do() -> None:
    left = [_name(file) for file in _tracked() if UNFINISHED.search(file.read_text(encoding="utf-8", errors="replace"))]
    assert left == []


def test_no_folder_of_a_machine_is_named() -> None:
    """Paths in tests of messages are made up: someone's home stands for one."""
    folders = re.compile(r"(?<![\w.])/(?:work|root|Users|mnt)/\w|/home/(?!someone\b)\w")
    named = [
        f"{_name(file)}: {found[0]}"
        for file in _tracked()
        if (found := folders.search(file.read_text(encoding="utf-8", errors="replace")))
    ]
    assert named == []


def test_git_hides_no_source() -> None:
    """A line of .gitignore such as ``build/`` would hide a package of that name from every clone."""
    if not (ROOT / ".git").exists():
        pytest.skip("no repository here")
    kept = [*SOURCES, *TESTS, *(ROOT / "conf").rglob("*.yaml"), *(PACKAGE / "assets").rglob("*.*")]
    names = [_name(file) for file in kept if "__pycache__" not in file.parts]
    line = ["git", "check-ignore", "--no-index", "--stdin"]
    done = subprocess.run(line, cwd=ROOT, input="\n".join(names), capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_only_the_command_line_prints_to_stdout() -> None:
    """stdout is for scripts: every print below cli/ names its file, but the door's, which prints the run directory."""
    door = PACKAGE / "launch/door.py"
    below = [file for file in SOURCES if file.relative_to(PACKAGE).parts[0] != "cli" and file != door]
    calls = [(file, node) for file, node in _nodes(ast.Call, below) if ast.unparse(node.func) == "print"]
    assert calls
    loud = [f"{_name(file)}:{node.lineno}" for file, node in calls if not any(k.arg == "file" for k in node.keywords)]
    assert loud == []


def test_slow_tests_are_marked_where_make_looks_for_them() -> None:
    """``make test-slow`` collects the files that say so; a mark from elsewhere would leave its tests out."""
    mark = "mark." + "slow"
    elsewhere = [_name(file) for file in TESTS if mark in file.read_text() and not file.name.startswith("test_")]
    assert elsewhere == []


def test_what_the_pages_for_contributors_point_to_is_there() -> None:
    page = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("docs/ARCHITECTURE.md", "CONTRIBUTING.md"))
    named = re.findall(r"`(?:mollm_cli/)?([a-z_]+/[\w/]+\.(?:py|yaml))(?:: (\w+))?", page)
    named += [
        (name, "") for row in re.findall(r"^\|.*\| (\w+/[\w/., ]*) \|$", page, re.MULTILINE) for name in row.split(", ")
    ]
    assert len(named) > 60
    places = [
        (name, next((root / name for root in (PACKAGE, ROOT) if (root / name).exists()), None), inside)
        for name, inside in named
    ]
    assert [name for name, place, _ in places if place is None] == []
    assert [
        f"{name}: {inside}"
        for name, place, inside in places
        if inside and place and f" {inside}(" not in place.read_text()
    ] == []
