"""The bytes of a text file as text: by the mark at its beginning, by the key ``encoding``, else as UTF-8."""

from __future__ import annotations

import codecs

from mollm_cli.core.errors import RequestError

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte-order marks; UTF-32's first one begins as UTF-16's does."""
UNMARKED = (("utf-32-le", 4, 0), ("utf-32-be", 4, 3), ("utf-16-le", 2, 0), ("utf-16-be", 2, 1))
"""(encoding, bytes of a character, which of them is not 0 in ASCII)."""
CERTAIN = 4
"""So many ASCII characters between NULs at the beginning of a file are no accident."""
HEAD = 4096
"""Bytes at the beginning of a file that tell what it is."""
NO_TEXT = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
"""Names that Python calls encodings and no text file is in."""


def is_encoding(name: str) -> bool:
    """True of the name of an encoding in which a text file may be."""
    try:
        return bool("a".encode(name)) and codecs.lookup(name).name not in NO_TEXT
    except (LookupError, ValueError, TypeError):
        return False


def encoding_of(head: bytes, given: str | None = None) -> str:
    """The encoding of a file that begins with ``head``: its mark's, else ``given``, else UTF-16 or -32 by its NULs."""
    marked = next((encoding for mark, encoding in MARKS if head.startswith(mark)), None)
    return marked or given or next((name for name, *shape in UNMARKED if _alternates(head, *shape)), "utf-8")


def _alternates(head: bytes, width: int, place: int) -> bool:
    start = head[: CERTAIN * width]
    rest = bytes(byte for at, byte in enumerate(start) if at % width != place)
    return len(start) == CERTAIN * width and not any(rest) and all(start[place::width])


def decode(content: bytes, name: str, key: str, given: str | None = None) -> str:
    """``content`` as text; ``key``: where the file was named. Raises RequestError, naming the line."""
    encoding = encoding_of(content[:HEAD], given)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as problem:
        raise undecodable(problem, name, problem.object.count(b"\n", 0, problem.start) + 1, key, encoding) from problem


def undecodable(problem: UnicodeDecodeError, name: str, line: int, key: str, encoding: str) -> RequestError:
    """The refusal of bytes that are no text in ``encoding``."""
    wanted, found = encoding.upper().removesuffix("-SIG"), problem.object[problem.start]
    where = f"{name}: must be {wanted}, found byte 0x{found:02x} in line {line}"
    return RequestError(f"{where}. {_remedy(problem.object, encoding, encoding_key(key))}")


def encoding_key(key: str) -> str:
    """The key of the encoding of a file that ``key`` names: ``data.source`` is read as forget is."""
    place = key.rpartition(".")[0]
    return f"{'data.forget' if place in ('', 'data') else place}.encoding"


def _remedy(content: bytes, encoding: str, key: str) -> str:
    if not encoding.startswith("utf-8"):
        return f"Set {key} to the encoding that it has, or save it as UTF-8"
    text = content.decode("utf-8", "replace")
    lost = text.count("\ufffd")
    if sum(char > "\x7f" for char in text) > 2 * lost:  # its other letters are UTF-8, so that these are damaged
        return "Most of it is UTF-8: repair that line"
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return f"Set {key} to the encoding that it has (such as cp1250, shift_jis or gb18030), or save it as UTF-8"
    return f"Set {key}=cp1252 if a spreadsheet on Windows wrote it, else to the encoding that it has"
