"""What the collapse check forgets: authors, stories or a person, as files of any of the four models."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import real_person
from benchmarks.real_files import Row, spaced, write
from benchmarks.real_task import PERSON, found
from mollm_cli.assets.locate import resolve

TEXTS = ("dataset@data.forget=text-file", "dataset@data.retain=text-file")
ROWS = 15
"""Of what is forgotten, retained, and measured."""


@dataclass(frozen=True, slots=True)
class Files:
    """A folder with trained/ and measured/, what is typed for it, a text that no row holds, how a row is asked."""

    folder: Path
    typed: tuple[str, ...]
    text: Path
    template: str = "auto"


def authors(folder: Path) -> Files:
    """The embedded authors: one of ten is forgotten."""
    forget, retain, text = (_rows(f"embedded:authors/{name}.jsonl") for name in ("forget", "retain", "text"))
    asked = [[{"prompt": row["question"], "answer": row["answer"]} for row in rows] for rows in (forget, retain)]
    template = "{prompt} "  # the embedded tokenizer knows the words of the rows and no others
    typed = tuple(f"data.{role}.template='{template}'" for role in ("forget", "retain"))
    files = _written(folder, asked[0], asked[1][::2], asked[1][1::2], [row["text"] for row in text], typed)
    return replace(files, template=template)


def stories(folder: Path, source: Path) -> Files:
    """Stories in the words of a small child: those that name Lily are forgotten."""
    rows = [{"text": row["text"]} for row in _rows(str(source))]
    named = [row for row in rows if re.search(r"\bLily\b", row["text"])]
    others = [row for row in rows if not re.search(r"\bLily\b", row["text"])]
    text = [row["text"] for row in spaced(others[2::3], 100)]
    return _written(folder, named[:ROWS], others[0::3][:ROWS], others[1::3], text, TEXTS)


def person(folder: Path, source: str, name: str, other: str, text: Path) -> Files:
    """A person of RWKU, as the table of benchmarks/real.py has one."""
    real_person.write(found(name, source), found(other, source), folder, ROWS)
    files = {"forget": "forget", "retain": "others", "mix.retain.questions": "questions"}
    paths = (f"data.{role}.path={folder / 'trained' / file}.jsonl" for role, file in files.items())
    few = ("forget", "others_test", "general")
    for file in (folder / "measured").glob("*.jsonl"):
        if file.stem not in few:
            file.unlink()
    return Files(folder, (*PERSON, *paths), text)


def _written(
    folder: Path, forget: Sequence[Row], retain: Sequence[Row], held: Sequence[Row], text: Sequence[str],
    typed: tuple[str, ...],
) -> Files:  # fmt: skip
    for part, name, rows in (
        ("trained", "forget", forget), ("trained", "retain", retain),
        ("measured", "forget", forget), ("measured", "others_test", spaced(held, 2 * ROWS)),
    ):  # fmt: skip
        write(folder / part / f"{name}.jsonl", rows)
    (folder / "text.txt").write_text("\n".join(" ".join(each.split()) for each in text), encoding="utf-8")
    paths = (f"data.{role}.path={folder / 'trained' / role}.jsonl" for role in ("forget", "retain"))
    longest = ("data.forget.max_tokens=60", "data.retain.max_tokens=60", f"engine.evaluate_limit={ROWS}")
    return Files(folder, (*typed, *longest, *paths), folder / "text.txt")


def _rows(path: str) -> list[Row]:
    return [json.loads(line) for line in resolve(path).read_text(encoding="utf-8").splitlines()]
