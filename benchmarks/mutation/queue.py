"""Work of many children at a time, one per copy of the project, until a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.mutation.children import Child, start
from benchmarks.mutation.trees import with_text


@dataclass(frozen=True, slots=True)
class Job:
    """What a child does in its copy, and what is done with its answer."""

    work: Callable[[], Any]
    done: Callable[[Any], None]
    """Given None where the child gave no answer."""
    seconds: float
    text: tuple[str, bytes] | None = None
    """A file of the project and what it holds meanwhile."""

    def around(self, tree: Path) -> AbstractContextManager[None]:
        """The file with its other text, for as long as the child works."""
        return with_text(tree / self.text[0], self.text[1]) if self.text else nullcontext()


def work_off(jobs: Iterable[Job], trees: list[Path], deadline: float) -> bool:
    """Whether all jobs were done before the deadline (of time.monotonic); none is begun after it."""
    waiting: Iterator[Job] = iter(jobs)
    free, busy = list(trees), list[tuple[Path, Job, Child, AbstractContextManager[None]]]()
    complete = True
    while True:
        while free and time.monotonic() < deadline and (job := next(waiting, None)):
            tree = free.pop()
            around = job.around(tree)
            around.__enter__()
            busy.append((tree, job, start(job.work, tree, job.seconds), around))
        complete &= time.monotonic() < deadline
        if not busy:
            return complete or next(waiting, None) is None
        for entry in list(busy):
            tree, job, child, around = entry
            ended, answer = child.ended()
            if ended:
                around.__exit__(None, None, None)
                busy.remove(entry)
                free.append(tree)
                job.done(answer)
        time.sleep(0.02)
