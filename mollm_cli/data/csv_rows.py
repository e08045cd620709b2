"""CSV with a header line, as spreadsheets write it: quoted fields may hold separators and line breaks."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from mollm_cli.core.discretion import told
from mollm_cli.core.errors import RequestError
from mollm_cli.data.columns import plain
from mollm_cli.data.compression import bare
from mollm_cli.data.headers import is_known, looks_like_row, row_for_header
from mollm_cli.data.limits import LONGEST_ROW, too_long
from mollm_cli.data.separators import separated
from mollm_cli.data.source_row import Numbered


def read_csv(text: str, name: str) -> Numbered:
    """The rows below the header, every value a text. Raises RequestError, naming file and row."""
    return csv_rows(io.StringIO(text, newline=""), name)


def csv_rows(lines: Iterable[str], name: str) -> Numbered:
    """``read_csv`` of lines with their line breaks, which may come one by one from a file.

    Rows are counted as a spreadsheet counts them, from 1 below the header; those without any text are left out.
    """
    csv.field_size_limit(LONGEST_ROW)  # the module's own limit of 131072 is less than a chapter
    lines, separator = separated(lines, "\t" if bare(name).lower().endswith(".tsv") else ",")
    reader = csv.reader(lines, delimiter=separator, strict=True)
    row = 0
    try:
        columns = _header(reader, name)
        for row, cells in enumerate(reader, start=1):
            if _blank(cells):
                continue
            if len(cells) < len(columns) or not _blank(cells[len(columns) :]):
                found = len(cells) if len(cells) > len(columns) else "fewer"
                raise RequestError(
                    f"{name}: row {row} must have the {len(columns)} columns of the header, found {found}. "
                    f"Quote fields that hold {NAMED[separator]} or a line break, and name every column"
                )
            yield row, dict(zip(columns, cells, strict=False))
    except csv.Error as problem:
        if "field limit" in str(problem):
            raise too_long(name, row + 1) from problem
        raise RequestError(f"{name}: row {row + 1} must be CSV, found: {problem}. Repair its quotes") from problem


NAMED = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
"""Separators in words."""


def _blank(cells: Sequence[str]) -> bool:
    """True if nothing stands in ``cells``: spreadsheets write columns and rows that were used once."""
    return not any(cell.strip() for cell in cells)


def _header(reader: Iterator[list[str]], name: str) -> list[str]:
    """The names of the columns, without nameless ones at their end. Raises RequestError where one stands twice."""
    columns = next((cells for cells in reader if not _blank(cells)), [])
    while columns and _blank(columns[-1:]):
        columns.pop()
    alike = [plain(column) if is_known(column) else column for column in columns]
    twice = next((column for column, times in Counter(alike).items() if times > 1), None)
    if twice is None:
        return columns
    if looks_like_row(columns):
        raise RequestError(f"{name}: the first line must name the columns, found {row_for_header(columns)}")
    first, second = [place for place, column in enumerate(alike, start=1) if column == twice][:2]
    raise RequestError(
        f"{name}: the header must name each column once, found the columns {first} and {second} called alike "
        f"({told(twice)}). Rename one, or add a header line such as question,answer where there is none"
    )
