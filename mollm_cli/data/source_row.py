"""One record as its source holds it, before anything is read into it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Values = dict[str, Any]
Numbered = Iterator[tuple[int, Values]]
"""Rows as a reader of one format yields them: (1-based row, columns). In line-based formats the row is the line."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """``values`` by column; ``row`` counts from 1 within ``source``, ``number`` over all files of the dataset."""

    values: Values
    source: str
    row: int
    number: int

    @property
    def where(self) -> str:
        """For messages: row 17 of train.jsonl."""
        return f"row {self.row} of {self.source}"


@dataclass(frozen=True, slots=True)
class Source:
    """The rows of a dataset and where they came from.

    ``total``: how many there are. ``label``: for messages. ``record``: for the fingerprint (files, or the Hub id).
    """

    rows: Iterable[SourceRow]
    total: int
    label: str
    record: dict[str, Any]
