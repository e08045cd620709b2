"""CSV with a header line, as spreadsheets write it: quoted fields may hold commas and line breaks."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence

from mollm_cli.core.discretion import told
from mollm_cli.core.errors import RequestError
from mollm_cli.data.headers import looks_like_row, row_for_header
from mollm_cli.data.limits import LONGEST_ROW, too_long
from mollm_cli.data.source_row import Numbered


def read_csv(text: str, name: str) -> Numbered:
    """The rows below the header, every value a text. Raises RequestError, naming file and row."""
    return csv_rows(io.StringIO(text, newline=""), name)


def csv_rows(lines: Iterable[str], name: str) -> Numbered:
    """``read_csv`` of lines with their line breaks, which may come one by one from a file."""
    csv.field_size_limit(LONGEST_ROW)  # the module's own limit of 131072 is less than a chapter
    reader = csv.DictReader(lines, strict=True)
    row = 0
    try:
        _check_header(reader.fieldnames or (), name)
        for row, values in enumerate(reader, start=1):
            columns = len(reader.fieldnames or ())
            if None in values or None in values.values():
                found = len(values) - 1 + len(values[None]) if None in values else "fewer"
                raise RequestError(
                    f"{name}: row {row} must have the {columns} columns of the header, found {found}. "
                    "Quote fields that hold a comma or a line break"
                )
            yield row, dict(values)
    except csv.Error as problem:
        if "field limit" in str(problem):
            raise too_long(name, row + 1) from problem
        raise RequestError(f"{name}: row {row + 1} must be CSV, found: {problem}. Repair its quotes") from problem


def _check_header(columns: Sequence[str], name: str) -> None:
    twice = next((column for column, times in Counter(columns).items() if times > 1), None)
    if twice is None:
        return
    if looks_like_row(columns):
        raise RequestError(f"{name}: the first line must name the columns, found {row_for_header(columns)}")
    first, second = [place for place, column in enumerate(columns, start=1) if column == twice][:2]
    raise RequestError(
        f"{name}: the header must name each column once, found the columns {first} and {second} called alike "
        f"({told(twice)}). Rename one, or add a header line such as question,answer where there is none"
    )
