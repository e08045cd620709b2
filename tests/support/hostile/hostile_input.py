"""One hostile input: a place of its own, the files in it, and the command line that meets them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLANTED = "Quillfeather Ambrosius Tamarisk"
"""Stands in every row of a hostile data file, and in the environment: no message may hold it."""
VARIABLE = "MOLLM_HOSTILE"
"""The variable of the environment that holds it."""
LIMITS = ("limits.seconds=1", "limits.memory_gib=0.25")
"""The budget of each command line, so that what reaches it does so soon."""
SHORT = (
    "loss=ga", "engine.max_steps=1", "engine.batch_size=2", "engine.evaluate_every=null", "engine.device=cpu",
    "evaluation.limit=2", "evaluation.generate_tokens=2", "evaluation.oracle=null",
    *(f"data.{role}.limit=4" for role in ("forget", "retain", "holdout", "sets.text")),
)  # fmt: skip
"""A run of the embedded authors that takes a second."""


@dataclass(frozen=True, slots=True)
class Bases:
    """What is damaged: a run that ended, with a checkpoint and a resume point, and a model folder; both small."""

    run: Path
    model: Path
    adapter: Path


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one attempt. Only ``out``, ``cache`` and what is asked to be changed may be another afterwards."""

    folder: Path
    bases: Bases

    @property
    def canary(self) -> Path:
        """What code of the input would make."""
        return self.folder / "canary"

    @property
    def victim(self) -> Path:
        """A folder of the user's with one file."""
        return self.folder / "victim"

    @property
    def theirs(self) -> Path:
        """The stranger's files."""
        return self.folder / "theirs"

    @property
    def run(self) -> Path:
        """The stranger's run directory."""
        return self.folder / "run"

    @property
    def trap(self) -> str:
        """A shell command that makes the canary."""
        return f"touch {self.canary}"

    def made(self) -> Place:
        """The same place with its folders, the user's file, and a package ``trap`` that makes the canary."""
        for folder in (
            self.folder,
            self.victim,
            self.theirs,
            *(self.folder / n for n in ("out", "cache", "cwd", "site")),
        ):
            folder.mkdir()
        (self.victim / "diary.txt").write_text("the user's\n")
        code = f"import pathlib\npathlib.Path({str(self.canary)!r}).touch()\ndef spring(*a, **k): pass\n"
        (self.folder / "site" / "trap.py").write_text(f"{code}class Evil: pass\n")
        return self

    def write(self, name: str, content: str | bytes) -> Path:
        """A file of the stranger's."""
        file = self.theirs / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
        return file

    def copied_run(self) -> Path:
        """The run, to be damaged."""
        return Path(shutil.copytree(self.bases.run, self.run))

    def copied_model(self) -> Path:
        """The model folder, to be damaged."""
        return Path(shutil.copytree(self.bases.model, self.theirs / "model"))

    def checked(self, *typed: str) -> list[str]:
        """``mollm-unlearn --check`` within the budget."""
        return ["mollm-unlearn", "--check", *LIMITS, "direction.forget_target=0.01", *typed]

    def ran(self, *typed: str) -> list[str]:
        """A short ``mollm-unlearn`` within the budget."""
        return ["mollm-unlearn", f"output_root={self.folder / 'out'}", *SHORT, *LIMITS, *typed]


Make = Callable[[Place, random.Random], list[str]]
"""Writes the files of an input, and returns the command line, its program first."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """family, kind: the rows of the table. refused: whether it must be; else it may also do no harm. changes: the run
    directory, which the command is asked to change.
    """

    family: str
    kind: str
    number: int
    make: Make
    refused: bool = True
    changes: bool = False

    @property
    def name(self) -> str:
        """One name of each."""
        return f"{self.family}: {self.kind} {self.number}"

    def typed(self, place: Place) -> list[str]:
        """Write the files, the same each time, and return the command line."""
        return self.make(place, random.Random(self.name))


def inputs(
    family: str, kind: str, makes: Iterable[Make], refused: bool = True, changes: bool = False, most: int | None = None
) -> list[Hostile]:
    """The inputs of one class; ``most``: that many of them, drawn by the name of the class."""
    found = list(makes)
    if most is not None and most < len(found):
        found = random.Random(kind).sample(found, most)
    return [Hostile(family, kind, n, make, refused, changes) for n, make in enumerate(found)]


def deep(levels: int, opening: str = "[", closing: str = "]") -> str:
    """Brackets in each other."""
    return opening * levels + closing * levels


ODD_VALUES: Sequence[Any] = (
    None, True, -1, 0, 1e308, float("nan"), float("inf"), 10**400, 2**63, "", "x" * 5000, "\x1b[31m\x07", "${seed}", [],
    {}, [[]], {"a": {"b": []}}, ["a", 1, None], "../../victim", "/etc/passwd", "\ud800", "0x10", "1e9", [10**30] * 3,
)  # fmt: skip
"""What stands where something else should."""


def places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in ``node``, mappings and lists among them."""
    found = [at] if at else []
    if isinstance(node, dict):
        return found + [path for key, value in node.items() for path in places(value, (*at, key))]
    if isinstance(node, list):
        return found + [path for n, value in enumerate(node[:3]) for path in places(value, (*at, n))]
    return found


def put(node: Any, at: Sequence[Any], value: Any) -> Any:
    """``node`` with ``value`` at the path ``at``."""
    if not at:
        return value
    inner = node
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return node
