"""The separator of the fields of a CSV: spreadsheets write what the country of their user separates lists with."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from mollm_cli.data.headers import is_known

SEPARATORS = (",", ";", "\t", "|")
NAMED_FIRST = re.compile(r'\s*"?sep=([,;\t|])"?\s*', re.IGNORECASE)
"""The line that Excel reads, and writes, before the header."""
LINES, CHARACTERS = 20, 1 << 16
"""Lines and characters at the beginning of a file that are looked at."""


def separated(lines: Iterable[str], else_by: str = ",") -> tuple[Iterator[str], str]:
    """(the lines from the header on, their separator): the one of ``sep=;`` where that is the first line.

    Else it is the one under which the first line holds most names of columns that are known, then the one that gives
    all rows as many fields, then the one of most fields; ``else_by`` where nothing is separated.
    """
    rest = iter(lines)
    first: list[str] = []
    for line in rest:
        first.append(line)
        if len(first) == LINES or sum(map(len, first)) > CHARACTERS:
            break
    if first and (named := NAMED_FIRST.fullmatch(first[0])):
        return chain(first[1:], rest), named[1]
    return chain(first, rest), max((else_by, *SEPARATORS), key=lambda separator: _fits(_records(first, separator)))


def _fits(records: Sequence[Sequence[str]]) -> tuple[int, bool, int]:
    if not records or len(records[0]) < 2:
        return 0, False, 0
    widths = {len(cells) for cells in records}
    return sum(map(is_known, records[0])), len(widths) == 1, len(records[0])


def _records(lines: Sequence[str], separator: str) -> list[list[str]]:
    """The records of the first lines; the last one may be cut, so that it does not count beside others."""
    found = []
    try:
        for cells in csv.reader(lines, delimiter=separator):
            if cells:
                found.append(cells)
    except csv.Error:
        pass  # told with its row by whoever reads on
    return found[:-1] if len(found) > 1 and len(lines) == LINES else found
