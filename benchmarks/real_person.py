"""One person of RWKU (Jin et al., arXiv 2406.10890; CC BY 4.0) as files: to forget, to retain, to measure.

    data/trained/    forget.jsonl, others.jsonl, questions.jsonl: the rows of a run
    data/measured/   forget, forget_other, others_test, probes1 to probes3, neighbours, general, and the trained others

Of neighbours and general questions every other row is trained on, the rest is measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.real_files import spaced
from benchmarks.real_files import write as lines

ROWS = 15
"""Texts to forget, texts to retain, and as many of either that are only measured."""
UNSEEN = 100
"""Where the texts that are only measured begin: the trained ones say the same things in other words."""
LEVELS = (1, 2, 3)
HUB = {"positive": "train_positive_llama3", "triviaqa": "utility_factuality"}
"""Configurations of jinzhuoran/RWKU that are named otherwise than the files of a person's folder."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """Rows on one person: texts; probes by level, questions on neighbours and general ones as (prompt, answer)."""

    texts: Sequence[str]
    probes: Mapping[int, Sequence[tuple[str, str]]]
    neighbours: Sequence[tuple[str, str]]
    general: Sequence[tuple[str, str]]

    @classmethod
    def of(cls, read: Any) -> Person:
        """read: the rows of positive, forget_level1, ..., by name."""
        pairs = {name: list(dict.fromkeys(map(_pair, read(name)))) for name in _ASKED}
        neighbours = dict.fromkeys([*pairs["neighbor_level2"], *pairs["neighbor_level1"]])
        probes = {level: pairs[f"forget_level{level}"] for level in LEVELS}
        return cls([row["text"] for row in read("positive")], probes, list(neighbours), pairs["triviaqa"])


_ASKED = (*(f"forget_level{level}" for level in LEVELS), "neighbor_level1", "neighbor_level2", "triviaqa")


def from_folder(folder: Path) -> Person:
    """The person of one folder of RWKU. Raises FileNotFoundError, json.JSONDecodeError, KeyError."""
    return Person.of(lambda name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))


def from_hub(subject: str) -> Person:
    """The person ``subject`` ("Vincent van Gogh") of the Hub's RWKU; general questions are on nobody."""
    from datasets import load_dataset

    def read(name: str) -> list[Row]:
        config = HUB.get(name, name)
        rows = load_dataset("jinzhuoran/RWKU", config, split="train" if config.startswith("train") else "test")
        return [row for row in rows if name == "triviaqa" or row["subject"] == subject]

    return Person.of(read)


def write(person: Person, other: Person, folder: Path, most: int | None = None) -> None:
    """The files of the task: forget ``person``, retain what is said of ``other`` and the questions.

    most: measured questions of a kind, evenly spaced; None: all. Raises ValueError for a person of too few texts.
    """
    least = UNSEEN + ROWS
    for found in (person, other):
        if len(found.texts) < least:
            raise ValueError(f"positive: needs {least} texts of each person, found {len(found.texts)}")
    trained, measured = folder / "trained", folder / "measured"
    for place in (trained, measured):
        lines(place / "forget.jsonl", _texts(person, 0))
        lines(place / "others.jsonl", _texts(other, 0))
    lines(trained / "questions.jsonl", _asked([*person.neighbours[0::2], *person.general[0::2]]))
    lines(measured / "forget_other.jsonl", _texts(person, UNSEEN))
    lines(measured / "others_test.jsonl", _texts(other, UNSEEN))
    asked = {f"probes{level}": rows for level, rows in person.probes.items()}
    asked |= {"neighbours": person.neighbours[1::2], "general": person.general[1::2]}
    for name, rows in asked.items():
        lines(measured / f"{name}.jsonl", _asked(spaced(rows, most)))


def _pair(row: Row) -> tuple[str, str]:
    answer = row["answers"] if "answers" in row else row["answer"]
    return row["question"] if "question" in row else row["query"], answer if isinstance(answer, str) else answer[0]


def _texts(person: Person, start: int) -> list[Row]:
    return [{"text": text} for text in person.texts[start : start + ROWS]]


def _asked(rows: Sequence[tuple[str, str]]) -> list[Row]:
    return [{"prompt": prompt, "answer": answer} for prompt, answer in rows]
