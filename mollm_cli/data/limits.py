"""How much a file of a stranger may come to in memory before it is refused."""

from __future__ import annotations

from mollm_cli.core.errors import RequestError

LARGEST_BYTES = 2 << 30
"""Of a file that is in memory as a whole, unpacked; and, about, of the rows of one Parquet or Arrow file."""
LONGEST_ROW = 64 << 20
"""Bytes of one line or field: fifty Bibles."""
MOST_EXPANSION = 200
"""Unpacked bytes for each packed one; text packs to a fifth or a tenth, a bomb to a thousandth."""
FREE_EXPANSION = 64 << 20
"""Bytes to which even the smallest file may unpack."""


def most_unpacked(packed: int) -> int:
    """The bytes that a file of ``packed`` bytes may come to."""
    return min(LARGEST_BYTES, max(FREE_EXPANSION, MOST_EXPANSION * packed))


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
