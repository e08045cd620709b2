"""pytest in this very process: which tests ran, how they ended, and which statements each executed."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from mmap import mmap
from pathlib import Path
from typing import Any

PLAIN = ("-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow")
SEEN = "__seen__"


class Watcher:
    """A plugin: how every test ended, its seconds, the first that failed, and the statements it executed."""

    def __init__(self, seen: dict[str, mmap]) -> None:
        self.seen, self.failed = seen, ""
        self.tests: dict[str, dict[str, Any]] = {}
        self.collecting: dict[str, str] = {}

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid or "collection"

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.collecting = self.collecting or self._taken()
        self._taken()
        self.tests[nodeid] = {"seconds": 0.0, "passed": True, "ran": False}

    def pytest_runtest_logreport(self, report: Any) -> None:
        test = self.tests[report.nodeid]
        test["seconds"] += report.duration
        test["passed"] &= not report.failed
        test["ran"] |= report.when == "call" and report.passed
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.tests[nodeid]["lines"] = self._taken()

    def _taken(self) -> dict[str, str]:
        """By file, a hexadecimal number with one bit per line; everything is unseen after it."""
        found = {}
        for file, lines in self.seen.items():
            if bits := sum(1 << number for number, hit in enumerate(lines[:]) if hit):
                found[file] = f"{bits:x}"
                lines[:] = bytes(len(lines))
        return found


def run(tests: Sequence[str], *more: str, seen: dict[str, mmap] | None = None) -> tuple[int, Watcher]:
    """(pytest's exit code, what was seen) of these tests, in this order, in the current folder."""
    import hypothesis
    import pytest

    checks = list(hypothesis.HealthCheck)
    hypothesis.settings.register_profile(
        "faults", derandomize=True, deadline=None, database=None, max_examples=25, suppress_health_check=checks
    )
    hypothesis.settings.load_profile("faults")
    watcher = Watcher({} if seen is None else seen)
    code = pytest.main([*PLAIN, *more, *tests], plugins=[watcher])
    return int(code), watcher


def first_failure(tests: Sequence[str]) -> dict[str, Any]:
    """The test that failed first, "" for none. A session that cannot run its tests is a failure too."""
    code, watcher = run(tests, "-x")
    return {"failed": watcher.failed or ("" if code == 0 else f"pytest ended with {code}"), "ran": len(watcher.tests)}


def traced(test_file: str, folders: Sequence[str]) -> dict[str, Any]:
    """Every test of a file: its seconds, how it ended, the statements of the folders that it executed."""
    seen = _instrument(folders)
    code, watcher = run([test_file], seen=seen)
    here = Path.cwd()
    loaded = sorted(
        Path(file).relative_to(here).as_posix()
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None)) and Path(file).is_relative_to(here)
    )
    return {"code": code, "loaded": loaded, "tests": watcher.tests, "collecting": watcher.collecting}


def _instrument(folders: Sequence[str]) -> dict[str, mmap]:
    """From now on, sources of these folders tell which statements of their functions are executed."""
    seen: dict[str, mmap] = {}
    here, plain = Path.cwd(), SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, fullname: str) -> Any:
        file = Path(loader.path)
        name = file.relative_to(here).as_posix() if file.is_relative_to(here) else ""
        if not name.startswith(tuple(f"{folder}/" for folder in folders)):
            return plain(loader, fullname)
        tree = telling(file.read_text(encoding="utf-8"), name)
        seen[name] = mmap(-1, file.read_bytes().count(b"\n") + 2)  # shared with the processes that a test forks
        return compile(tree, loader.path, "exec", dont_inherit=True)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
    setattr(builtins, SEEN, seen)
    return seen


def telling(source: str, name: str) -> ast.Module:
    """The source, in which every statement of a function first notes that it is executed."""
    tree = ast.parse(source)
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _tell(node, name)
    return ast.fix_missing_locations(tree)


def _tell(node: ast.AST, name: str) -> None:
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if not isinstance(block, list):
            continue
        told: list[ast.stmt] = []
        for at, statement in enumerate(block):
            documents = at == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            marked = getattr(statement, "told", False)
            if not documents and not marked:
                note = ast.parse(f"{SEEN}[{name!r}][{statement.lineno}] = 1").body[0]
                note.told = statement.told = True  # type: ignore[attr-defined]
                told.append(ast.copy_location(note, statement))
            told.append(statement)
        setattr(node, field, told)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            _tell(child, name)
