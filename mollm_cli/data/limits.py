"""The size in memory up to which a stranger's file is read; a larger one is refused."""

from __future__ import annotations

from typing import IO, Any

from mollm_cli.core.budget import budget
from mollm_cli.core.errors import RequestError

LARGEST_BYTES = 2 << 30
"""Of a file that is in memory as a whole, unpacked; and, about, of the rows of one Parquet or Arrow file."""
LONGEST_ROW = 16 << 20
"""Bytes of one line or field, characters of one row of a table: four Bibles."""
MOST_EXPANSION = 200
"""Unpacked bytes for each packed one; text packs to a fifth or a tenth, a bomb to a thousandth."""
EXAMPLE_BYTES = 400
"""About what an example comes to in memory beside its texts."""
PIECE = 1 << 22
"""Bytes that are read at once."""
FREE_EXPANSION = 64 << 20
"""Bytes to which even the smallest file may unpack."""


def most_unpacked(packed: int) -> int:
    """The bytes that a file of ``packed`` bytes may come to."""
    return min(LARGEST_BYTES, max(FREE_EXPANSION, MOST_EXPANSION * packed))


def read_up_to(file: IO[bytes], most: int) -> bytes:
    """All of ``file``, or so many bytes of it that they are more than ``most``; no more memory than comes is taken."""
    pieces, left = [], most + 1
    while left > 0 and (piece := file.read(min(left, PIECE))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def too_large(name: str, found: str) -> RequestError:
    """A file that is no longer read as a whole."""
    return RequestError(
        f"{name}: a file must have at most {LARGEST_BYTES >> 20} MiB, found {found}. Split it and name the parts, "
        "data.ROLE.path=[A, B], or let data.source read JSON Lines or CSV row by row"
    )


def too_expanded(name: str, packed: int, most: int) -> RequestError:
    """A file that goes on unpacking."""
    return RequestError(
        f"{name}: must unpack to at most {most >> 20} MiB, found {packed} bytes that come to more. "
        "Unpack it yourself where you know what it is, and name what comes out"
    )


def too_many(key: str, where: str, most: int) -> RequestError:
    """Rows that are kept of a file which is read row by row, and do not fit."""
    return RequestError(
        f"{key}: the rows that are kept must take at most {most >> 20} MiB of memory, found more from {where} on. Keep "
        f"fewer (a filter, data.retain.limit), or raise limits.memory_gib={4 * budget().memory_gib:g} on the command "
        "line"
    )


def too_long(name: str, row: int) -> RequestError:
    """A row that does not end."""
    return RequestError(
        f"{name}: row {row} must have at most {LONGEST_ROW >> 20} MiB, found a line or field that goes on. "
        "Write one row a line, and close the quotes"
    )


def check_lines(content: bytes, name: str) -> None:
    """Raise RequestError for a line of ``content`` that is longer than a row may be."""
    start = row = 0
    while len(content) - start > LONGEST_ROW:
        row += 1
        end = content.find(b"\n", start, start + LONGEST_ROW + 1)
        if end < 0:
            raise too_long(name, row)
        start = end + 1


def weight(value: Any) -> int:
    """The characters of all texts in a row, or in a value of it."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(weight, value.values()))
    return sum(map(weight, value)) if isinstance(value, list | tuple) else 0
