"""What is forgotten from which model: the folders of a task, what is typed for its rows, and what should stay."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks import real_person

SETTINGS = (
    "data=custom", "data.test_share=0", "data.allow_overlap=true", "data.cache=false",
    "engine.batch_size=4", "engine.evaluate_every=2", "engine.checkpoint_every=10",
    "evaluation.limit=1", "evaluation.generate_tokens=1", "evaluation.membership=false",
)  # fmt: skip
"""Of every run; what it reports itself is kept short, for nothing of it is in the table."""
PERSON = (
    "dataset@data.forget=text-file", "dataset@data.retain=text-file", "data.forget.max_tokens=60",
    "data.retain.max_tokens=60", "+dataset@data.mix.retain.questions=qa-file",
    f"engine.evaluate_limit={real_person.ROWS}",
)  # fmt: skip
"""Texts on two persons of at most 60 tokens, and questions."""
SHARE = 0.5
"""Of the start's probability on the forget rows: where forgetting is matched, unless a task has an oracle."""


@dataclass(frozen=True, slots=True)
class Task:
    """A model and its rows.

    name: of its rows and of its place on a page; title: the same in words.
    data: the folder of trained/ and measured/.
    typed: what says which rows are trained on, and how.
    held_out: the columns that should stay where they were; retain: the measured rows that were trained on to stay.
    target: the forget probability where runs are compared; None: SHARE of the start's.
    """

    name: str
    title: str
    model: Path
    data: Path
    typed: tuple[str, ...]
    held_out: tuple[str, ...] = ("others_test", "neighbours", "general")
    retain: str = "others"
    target: float | None = None

    @property
    def measured(self) -> Path:
        """The folder of what is measured, a file a column."""
        return self.data / "measured"


def person_task(
    model: Path, person: str, other: str, source: str, place: Path, name: str, most: int | None = None
) -> Task:
    """``person`` forgotten, ``other`` kept, of the persons in ``source``; writes their files to ``place``/data.

    most: measured questions of a kind. Raises ValueError for a person who is not there.
    """
    data = (place / "data").resolve()
    real_person.write(found(person, source), found(other, source), data, most)
    files = {"forget": "forget", "retain": "others", "mix.retain.questions": "questions"}
    paths = (f"data.{role}.path={data / 'trained' / file}.jsonl" for role, file in files.items())
    return Task(name, f"{model.name}, {person} forgotten", model, data, (*SETTINGS, *PERSON, *paths))


def found(name: str, source: str) -> real_person.Person:
    """The person of that name. Raises ValueError where the folder has none, or more than one."""
    if source == "hub":
        return real_person.from_hub(name)
    wanted = f"_{name.replace(' ', '_')}"
    folders = [folder for folder in sorted(Path(source).iterdir()) if f"_{folder.name}".endswith(wanted)]
    if len(folders) != 1:
        raise ValueError(f"{source} must hold one folder of '{name}' (N{wanted}), found {[f.name for f in folders]}")
    return real_person.from_folder(folders[0])
