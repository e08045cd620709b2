"""Would a test notice? Small faults in the sources, one at a time, and the tests that execute them.

``python -m benchmarks.mutants``: the same seed takes the same faults. It can be stopped and goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.mutation.children import prepare
from benchmarks.mutation.mutants import AREAS, PACKAGE, Mutant, mutants, sample
from benchmarks.mutation.queue import Job, work_off
from benchmarks.mutation.registry import FOLDERS, Registry, Traced, chosen
from benchmarks.mutation.sessions import first_failure, traced
from benchmarks.mutation.table import into_page, show
from benchmarks.mutation.trees import copy
from benchmarks.mutation.verdicts import KILLED, Verdicts

ROOT = Path(__file__).parents[1]
FILE_SECONDS = 240.0
"""Of processor, for all tests of one file."""
TIMES = 4.0
"""A session may take so many times the seconds of its tests, and then counts as noticed."""


def main(argv: Sequence[str] | None = None) -> None:
    """Find what tests execute, judge the sample, print the table."""
    told = _told(argv)
    told.out.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + (told.minutes or float("inf")) * 60
    taken = [m for m in sample(mutants(ROOT, told.areas), told.per_area, told.seed) if told.only in m.name]
    registry = Registry(ROOT, told.out / "tests.jsonl", sorted({*AREAS, *told.areas}), told.tests)
    verdicts = Verdicts(ROOT, told.out / "verdicts.jsonl")
    prepare()
    with tempfile.TemporaryDirectory() as folder:
        trees = [copy(ROOT, Path(folder) / f"copy{n}" / "project") for n in range(told.jobs)]
        complete = work_off(_tracing(registry), trees, deadline)
        tests = registry.tests()
        print(f"{len(tests)} tests; {len(registry.stale())} test files are not traced yet", flush=True)
        if complete:
            complete = work_off(_judging(taken, tests, verdicts, told.seconds), trees, deadline)
        if complete:
            complete = work_off(_checking(taken, verdicts), trees, deadline)
    rows = [verdicts.rows[m.name] for m in taken if m.name in verdicts.rows]
    if not complete:
        print("not complete: give the command again")
    reasons = json.loads(told.reasons.read_text()) if told.reasons.exists() else {}
    show(rows, reasons)
    if told.page:
        into_page(told.page, rows, reasons, _commit())


def _told(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.mutants", description=__doc__)
    parser.add_argument("--per-area", type=int, default=40, help="faults per folder")
    parser.add_argument("--areas", nargs="+", default=list(AREAS), help=f"folders of {PACKAGE}")
    parser.add_argument("--tests", nargs="+", default=list(FOLDERS), help="folders and files of tests")
    parser.add_argument("--only", default="", help="only faults with this in their name (file:line:kind)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--seconds", type=float, default=30.0, help="of tests per fault, at most")
    parser.add_argument("--minutes", type=float, help="stop after so long; the same command goes on")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs/bench/mutants", help="what is known so far")
    parser.add_argument("--reasons", type=Path, default=ROOT / "docs/benchmarks/mutants.json", help="why some survive")
    parser.add_argument("--page", type=Path, help="put the tables there too, e.g. docs/BENCHMARKS.md")
    return parser.parse_args(argv)


def _tracing(registry: Registry) -> Iterator[Job]:
    folders = [f"{PACKAGE}/{area}" for area in registry.areas]
    for name in registry.stale():
        yield Job(partial(traced, name, folders), partial(registry.add, name), FILE_SECONDS)


def _judging(taken: Sequence[Mutant], tests: Sequence[Traced], verdicts: Verdicts, seconds: float) -> Iterator[Job]:
    for mutant in taken:
        near = chosen(mutant, tests, seconds)
        if verdicts.known(mutant, near):
            continue
        if not near:
            _say(verdicts.add(mutant, near, {"failed": ""}))
            continue
        text = mutant.applied((ROOT / mutant.file).read_bytes())
        work = partial(first_failure, [test.name for test in near])
        done = partial(_judged, verdicts, mutant, near)
        yield Job(work, done, TIMES * sum(test.seconds for test in near), (mutant.file, text))


def _judged(verdicts: Verdicts, mutant: Mutant, tests: Sequence[Traced], answer: dict[str, Any] | None) -> None:
    _say(verdicts.add(mutant, tests, answer))


def _say(row: dict[str, Any]) -> None:
    print(f"{row['outcome']:10} {row['name']}: {row['before']} -> {row['after']}  {row['by']}", flush=True)


def _checking(taken: Sequence[Mutant], verdicts: Verdicts) -> Iterator[Job]:
    """The tests that killed pass without a fault, in a session of their own."""
    by_file: dict[str, set[str]] = {}
    for mutant in taken:
        row = verdicts.rows[mutant.name]
        if row["outcome"] == KILLED and "::" in row["by"]:
            by_file.setdefault(row["by"].split("::")[0], set()).add(row["by"])
    for names in by_file.values():
        yield Job(partial(first_failure, sorted(names)), partial(_checked, verdicts, sorted(names)), FILE_SECONDS)


def _checked(verdicts: Verdicts, names: Sequence[str], answer: dict[str, Any] | None) -> None:
    if answer is None or answer["failed"]:
        failed = answer.get("failed") if answer else None
        wrong = verdicts.doubt([failed] if failed in names else names)
        print(f"fails without a fault: {failed or names}; in doubt: {', '.join(wrong)}", flush=True)


def _commit() -> str:
    line = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
