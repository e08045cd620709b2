"""Mutants of a source: where, what kind, and its text with the fault in it; and a seeded sample of them per area."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutation.changes import changes
from benchmarks.mutation.walk import Place, places

AREAS = (
    "objectives", "solvers", "gradients", "optimizers", "engine", "resume", "data", "metrics", "evaluation", "run",
)  # fmt: skip
"""Folders of the package, each with all that lies below it."""
PACKAGE = "mollm_cli"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault."""

    file: str
    """Relative to the project, with slashes."""
    line: int
    kind: str
    nth: int
    """Among those of one kind that begin in one line."""
    start: int
    end: int
    """Bytes of the source that go."""
    before: str
    after: str
    statement: str
    """The first line of the statement around it: what recognises this mutant when lines or files move."""
    lines: tuple[int, int] | None
    """A test that executes one of these statements may notice; None: it runs when the module is imported."""

    @property
    def area(self) -> str:
        """The folder of the package."""
        return self.file.split("/")[1]

    @property
    def name(self) -> str:
        """``file:line:kind``, with a number where there are several."""
        return f"{self.file}:{self.line}:{self.kind}" + (f".{self.nth}" if self.nth else "")

    @property
    def mark(self) -> str:
        """The same wherever the line moves to, as long as the statement stays."""
        return hashlib.sha256(f"{self.statement}|{self.kind}|{self.before}|{self.after}".encode()).hexdigest()[:16]

    def applied(self, source: bytes) -> bytes:
        """The source with the fault."""
        return source[: self.start] + self.after.encode() + source[self.end :]


def mutants(root: Path, areas: Iterable[str] = AREAS) -> Iterator[Mutant]:
    """All that these areas have, in the order of their files. Raises FileNotFoundError for an area without sources."""
    for area in areas:
        files = sorted((root / PACKAGE / area).rglob("*.py"))
        if not files:
            raise FileNotFoundError(f"no sources in {PACKAGE}/{area}: name folders of {PACKAGE}")
        for file in files:
            yield from of_source(file.relative_to(root).as_posix(), file.read_bytes())


def of_source(name: str, source: bytes) -> Iterator[Mutant]:
    """All that one file has."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    seen: Counter[tuple[int, str]] = Counter()
    texts = source.decode().splitlines()
    for place in places(ast.parse(source)):
        for kind, gone, come in changes(place):
            nth = seen[gone.lineno, kind]
            seen[gone.lineno, kind] += 1
            start = starts[gone.lineno - 1] + gone.col_offset
            end = starts[gone.end_lineno - 1] + gone.end_col_offset
            after = ast.unparse(come)
            after = after if isinstance(come, ast.stmt | ast.Constant | ast.Call | ast.Name) else f"({after})"
            statement = texts[place.statement.lineno - 1].strip()
            lines = _lines(place)
            yield Mutant(name, gone.lineno, kind, nth, start, end, ast.unparse(gone), after, statement, lines)


def _lines(place: Place) -> tuple[int, int] | None:
    if isinstance(place.within, ast.FunctionDef | ast.AsyncFunctionDef):
        return place.within.body[0].lineno, place.within.end_lineno
    return (place.statement.lineno, place.statement.lineno) if place.inside else None


def sample(found: Iterable[Mutant], per_area: int, seed: int) -> list[Mutant]:
    """So many of each area, or all it has; one mutant's chance does not hang on where in the area it is."""
    by_area: dict[str, list[tuple[str, str, Mutant]]] = {}
    for mutant in found:
        rank = hashlib.sha256(f"{seed}|{mutant.mark}|{mutant.nth}".encode()).hexdigest()
        by_area.setdefault(mutant.area, []).append((rank, mutant.name, mutant))
    return [mutant for ranked in by_area.values() for _, _, mutant in sorted(ranked)[:per_area]]
