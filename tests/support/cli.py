"""The command line in this very process: torch is imported once for all tests, and stdout and stderr are texts."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mollm_cli.cli.main import main
from mollm_cli.configuration.programs import EVALUATE, FINETUNE, UNLEARN, Command

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
"""Real data and a real model; tests that read it are skipped where it is absent."""
JUDGED = ("evaluation.limit=2", "evaluation.generate_tokens=4", "evaluation.oracle=null")
TRAINED = (*JUDGED, "engine.max_steps=3", "engine.batch_size=8", "engine.evaluate_every=null", "engine.device=cpu")
"""What keeps a run short. The command line of a test comes after it and wins."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command line ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def run_dir(self) -> Path:
        """The one line of stdout."""
        assert self.out.count("\n") == 1, f"stdout must be one line, found {self.out!r}; stderr: {self.err}"
        return Path(self.out[:-1])

    @property
    def manifest(self) -> dict[str, Any]:
        """manifest.json."""
        return read(self.run_dir / "manifest.json")

    @property
    def metrics(self) -> dict[str, Any]:
        """metrics.json."""
        return read(self.run_dir / "metrics.json")

    @property
    def steps(self) -> list[dict[str, Any]]:
        """train.jsonl."""
        return read_lines(self.run_dir / "train.jsonl")


def read(file: Path) -> Any:
    """One JSON file."""
    return json.loads(file.read_text(encoding="utf-8"))


def read_lines(file: Path) -> list[dict[str, Any]]:
    """One JSON Lines file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def write_lines(file: Path, rows: list[dict[str, Any]]) -> Path:
    """``rows`` as a JSON Lines file."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def answer(command: Command, *typed: str) -> Answer:
    """``command`` with this command line and nothing added."""
    before, out, err = sys.argv, io.StringIO(), io.StringIO()
    sys.argv = [command.program, *typed]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(command, typed)
    finally:
        sys.argv = before
    return Answer(code, out.getvalue(), err.getvalue())


def unlearn(root: Path, *typed: str) -> Answer:
    """A short ``mollm-unlearn`` that writes under ``root``."""
    return answer(UNLEARN, f"output_root={root}", *TRAINED, *typed)


def finetune(root: Path, *typed: str) -> Answer:
    """A short ``mollm-finetune`` that writes under ``root``."""
    return answer(FINETUNE, f"output_root={root}", *TRAINED, *typed)


def evaluate(root: Path, *typed: str) -> Answer:
    """A short ``mollm-evaluate`` that writes under ``root``."""
    return answer(EVALUATE, f"output_root={root}", *JUDGED, *typed)
