"""The folder resume/ of one run: the point to go on from, and the weights of the best evaluation so far."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mollm_cli.core.errors import RequestError
from mollm_cli.core.read_back import reading_back
from mollm_cli.engine.micro_batches import MicroBatches
from mollm_cli.engine.selection import History
from mollm_cli.engine.step import Stepper
from mollm_cli.resume import checkpoint
from mollm_cli.resume.intact import difference, mark
from mollm_cli.resume.lasting import require_same

INPUTS, MARK, ROWS, TOTAL = "inputs", "kept", "micro_batch", "total_steps"
"""Notes of a point beside the history: ``inputs``, the mark of the kept weights, rows in one forward pass, and the
steps that the run was to have, on which a learning-rate schedule depends."""


@dataclass(slots=True)
class ResumePoints:
    """Saves the resume points of a run, and loads the newest one.

    inputs: the values on which the run's numbers depend, by name; it goes on only with the same ones.
    pieces: the rows in one forward pass, which a point notes where they are found by trying.
    tell: hears of points that are passed over.
    settle_log: called before a point is written, so that no step that it stands for is missing in train.jsonl.
    total, former_total: steps that the run is to have, and those that it was to have when its point was written; None:
        not known.
    needed: the step whose kept weights the point on disk refers to; at most one.
    marks: size and hash of the files of kept weights, by step.
    """

    folder: Path
    stepper: Stepper
    history: History
    inputs: Mapping[str, Any] = field(default_factory=dict)
    pieces: MicroBatches | None = None
    tell: Callable[[str], None] = lambda text: None
    settle_log: Callable[[], None] = lambda: None
    total: int | None = None
    former_total: int | None = None
    needed: set[int] = field(default_factory=set)
    marks: dict[int, Any] = field(default_factory=dict)

    def load(self) -> int:
        """Put the newest whole point back, and return its step; 0 where there is none and the run starts (again).

        Raises RequestError where the run is to have fewer steps, where a value on which its numbers depend has changed,
        and where kept weights are gone or torn; nothing is put back then.
        """
        found = checkpoint.points(self.folder, self.tell)
        if not found:
            return 0
        with reading_back(found[-1], "Remove that folder, so that an older point is gone on from, or start a new run"):
            return self._put_back(found[-1])

    def _put_back(self, point: Path) -> int:
        step, state = checkpoint.load(point, self.stepper, self._accept)
        self.history.restore(state)
        self.needed, self.former_total = self._best(), state.get(TOTAL)
        self.marks = {step: state[MARK] for step in self.needed if MARK in state}
        if self.pieces is not None and self.pieces.auto:
            # As many rows as had room before: trying again would only run out of memory again.
            self.pieces.rows = max(1, min(self.pieces.rows, int(state.get(ROWS, self.pieces.rows))))
        return step

    def _accept(self, step: int, state: dict[str, Any]) -> None:
        require_same(state.get(INPUTS, {}), as_json(self.inputs))
        if self.total is not None and step > self.total:
            raise RequestError(
                f"engine.max_steps (or max_epochs) must leave the {step} steps that were taken, found {self.total}; "
                f"set engine.max_steps={step} or more, or start a new run"
            )
        history = History(self.history.selection)
        history.restore(state)
        kept = history.kept(step).step
        if kept != step:
            file = checkpoint.kept(self.folder, kept)
            if MARK in state and (problem := difference(file, state[MARK])) is not None:
                raise RequestError(
                    f"{self.folder} must hold the weights after step {kept}, which engine.keep chose, found that "
                    f"{problem}; start the run again without resume, or go on with engine.keep=last"
                )

    def save(self, step: int) -> None:
        """Write a point, then remove kept weights that it does not need. All processes call this."""
        self.settle_log()
        best = self._best()
        extra = self.history.state() | {INPUTS: as_json(self.inputs), TOTAL: self.total}
        if best & self.marks.keys():
            extra[MARK] = self.marks[max(best)]
        if self.pieces is not None:
            extra[ROWS] = self.pieces.rows
        checkpoint.save(self.folder, step, self.stepper, extra)
        self.needed = best
        # Only now: until the new point was read back, the one before it might have been needed, with its weights.
        if self._writes:
            checkpoint.keep_only(self.folder, self.needed)

    def keep(self, step: int) -> None:
        """Write the weights as they are now, after the best evaluation so far."""
        file = checkpoint.keep(self.folder, step, self.stepper.trained)
        if self._writes:
            self.marks[step] = mark(file)
            checkpoint.keep_only(self.folder, {step} | self.needed)

    def settle(self, steps: int) -> None:
        """Give the model the weights that the rule keeps from a run of ``steps`` steps."""
        kept = self.history.kept(steps)
        self.stepper.trained.world.barrier()  # the first process has written them to the disk
        if kept.step != steps:
            checkpoint.put_back(self.folder, kept.step, self.stepper.trained)

    @property
    def _writes(self) -> bool:
        """True for the process that writes."""
        return self.stepper.trained.world.first

    def _best(self) -> set[int]:
        return set() if self.history.best is None else {self.history.best.step}


def recorded(folder: Path) -> dict[str, Any]:
    """The inputs that the newest whole point in ``folder`` notes; {} where there is none, or it notes nothing."""
    found = checkpoint.points(folder)
    if not found:
        return {}
    try:
        noted = json.loads((found[-1] / checkpoint.STATE).read_text(encoding="utf-8"))["extra"][INPUTS]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}  # its fault is told when it is loaded
    return noted if isinstance(noted, dict) else {}


def as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` as they come back from a file, to be compared with those of a point."""
    read: dict[str, Any] = json.loads(json.dumps(dict(values), default=str))
    return read
