"""What became of the mutants: rows that are written as they come, and still hold when the command is given again."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from benchmarks.mutation.mutants import Mutant
from benchmarks.mutation.registry import Traced, digest

KILLED, TIMED_OUT, SURVIVED, IN_DOUBT = "killed", "timed out", "survived", "in doubt"
ALIVE = (SURVIVED, IN_DOUBT)
"""In doubt: the test that noticed fails without the fault too."""


class Verdicts:
    """Rows of ``verdicts.jsonl``; the last of a mutant holds."""

    def __init__(self, root: Path, file: Path) -> None:
        self.root, self.file = root, file
        self.rows: dict[str, dict[str, Any]] = {}
        if file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                self.rows[row["name"]] = row

    def known(self, mutant: Mutant, tests: Sequence[Traced]) -> bool:
        """Whether the verdict holds: same source, and the same killer, or the same tests that noticed nothing."""
        row = self.rows.get(mutant.name)
        if row is None or row["mark"] != mutant.mark or row["outcome"] == IN_DOUBT:
            return False
        if row["outcome"] == SURVIVED:
            return row["tests"] == self._of(tests)
        return digest(self.root, row["by"].split("::")[0]) == row["killer"]

    def add(self, mutant: Mutant, tests: Sequence[Traced], answer: dict[str, Any] | None) -> dict[str, Any]:
        """The row of a mutant from what its session answered; None where it was killed for its time."""
        by = "time" if answer is None else answer.get("failed", "error")
        outcome = TIMED_OUT if answer is None else KILLED if by else SURVIVED
        if by and "::" not in by:  # no test of its own: the session broke
            by = tests[0].name
        row = {name: getattr(mutant, name) for name in ("name", "area", "mark", "before", "after")}
        row |= {"outcome": outcome, "by": by, "killer": digest(self.root, by.split("::")[0])}
        row |= {"chosen": len(tests), "tests": self._of(tests)}
        self._write(row)
        return row

    def doubt(self, tests: Collection[str]) -> list[str]:
        """Mutants that one of these tests is said to have noticed count as alive, until judged again; their names."""
        found = [row for row in self.rows.values() if row["by"] in tests]
        for row in found:
            self._write(row | {"outcome": IN_DOUBT})
        return [row["name"] for row in found]

    def _write(self, row: dict[str, Any]) -> None:
        self.rows[row["name"]] = row
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")

    def _of(self, tests: Sequence[Traced]) -> str:
        files = sorted({f"{test.file} {digest(self.root, test.file)}" for test in tests})
        return " ".join(files)
