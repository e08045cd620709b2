"""Which tests execute which statements: found once per test file, and again when it or what it executed has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.mutation.mutants import PACKAGE, Mutant

FOLDERS = ("tests/unit", "tests/golden", "tests/e2e")


@dataclass(frozen=True, slots=True)
class Traced:
    """One test that passes on the sources as they are."""

    name: str
    file: str
    seconds: float
    lines: dict[str, int]
    """By source file, one bit per executed line."""
    loaded: frozenset[str]


class Registry:
    """Rows of ``tests.jsonl``; the last of a test file holds."""

    def __init__(self, root: Path, file: Path, areas: Sequence[str], folders: Sequence[str] = FOLDERS) -> None:
        self.root, self.file, self.areas, self.folders = root, file, list(areas), folders
        self.rows: dict[str, dict[str, Any]] = {}
        for place in (PACKAGE, "tests"):  # as they are now, while the copies are made: somebody may go on writing
            for source in (root / place).rglob("*.py"):
                digest(root, source.relative_to(root).as_posix())
        if file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                self.rows[row["file"]] = row

    def test_files(self) -> list[str]:
        """All of the folders, and files that are named themselves."""
        places = [self.root / name for name in self.folders]
        found = [file for at in places for file in ([at] if at.is_file() else sorted(at.rglob("test_*.py")))]
        return [file.relative_to(self.root).as_posix() for file in found]

    def stale(self) -> list[str]:
        """Traced files to be run: new ones, and those that changed, or whose sources did."""
        return [name for name in self.test_files() if not self._holds(self.rows.get(name))]

    def add(self, name: str, found: dict[str, Any] | None) -> None:
        """What a session said of a test file; None where it did not end. Raises RuntimeError where it broke."""
        if found and "error" in found:
            raise RuntimeError(f"{name} must run under pytest, found\n{found['error']}")
        found = found or {"loaded": [], "tests": {}, "collecting": {}, "code": None}
        executed = {file for test in found["tests"].values() for file in test.get("lines", {})}
        sources = {name, *executed, *(file for file in found["loaded"] if file.startswith("tests/"))}
        loaded = [file for file in found["loaded"] if file.startswith(f"{PACKAGE}/")]
        digests = {file: digest(self.root, file) for file in sorted(sources)}
        row = {"file": name, **found, "loaded": loaded, "areas": self.areas, "digests": digests}
        self.rows[name] = row
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")

    def tests(self) -> list[Traced]:
        """Those that pass, of the test files that are still there."""
        return [
            Traced(name, row["file"], test["seconds"], {f: int(bits, 16) for f, bits in test["lines"].items()}, loaded)
            for file in self.test_files()
            if (row := self.rows.get(file))
            for loaded in [frozenset(row["loaded"])]
            for name, test in row["tests"].items()
            if test["ran"] and test["passed"]
        ]

    def _holds(self, row: dict[str, Any] | None) -> bool:
        if row is None or not set(self.areas) <= set(row["areas"]):
            return False
        return all(digest(self.root, file) == known for file, known in row["digests"].items())


@cache
def digest(root: Path, name: str) -> str:
    """Of a file's text; "" where there is none."""
    file = root / name
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else ""


def chosen(mutant: Mutant, tests: Sequence[Traced], seconds: float) -> list[Traced]:
    """Tests that may notice: they execute the statement (import the file, where it runs at import); the closest first.

    Then the other tests of those files, since a fixture counts for the first test alone. ``seconds`` bounds their sum.
    """
    first, last = mutant.lines or (0, -1)
    bits = sum(1 << line for line in range(first, last + 1)) or -1
    hit = [test for test in tests if test.lines.get(mutant.file, 0) & bits]
    if mutant.lines is None or mutant.kind == "default":  # a default can be read without a call
        reached = {test.name for test in hit}
        hit += [test for test in tests if mutant.file in test.loaded and test.name not in reached]
    nearest = {test.file for test in hit if closeness(mutant.file, test.file) == 0}
    reached = {test.name for test in hit}
    others = [test for test in tests if test.file in nearest and test.name not in reached]
    taken, spent = [], 0.0
    for group in (hit, others):
        for test in sorted(group, key=lambda test: (closeness(mutant.file, test.file), test.seconds, test.name)):
            spent += test.seconds
            if taken and spent > seconds:
                break
            taken.append(test)
    return taken


def closeness(source: str, test: str) -> int:
    """0: the test file of this source by its name; 1: of its folder; 2: a unit test; 3: of whole commands."""
    folder, stem = Path(source).parent.as_posix(), Path(source).stem
    beside = test.startswith(f"tests/unit/{folder.removeprefix(f'{PACKAGE}/')}/")
    if beside and stem in Path(test).stem:
        return 0
    return 1 if beside else 2 if test.startswith("tests/unit/") else 3
