"""Large files row by row: JSON Lines and CSV, also compressed. The hash is taken on the way, so a file is read once."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from mollm_cli.core.errors import RequestError
from mollm_cli.data.compression import PROBLEMS, UNPACK, bare
from mollm_cli.data.csv_rows import csv_rows
from mollm_cli.data.files import BOM, Read, all_rows, bounded_rows, find_files
from mollm_cli.data.json_rows import json_line
from mollm_cli.data.limits import FREE_EXPANSION, LONGEST_ROW, MOST_EXPANSION, too_expanded, too_long
from mollm_cli.data.source_row import Numbered, SourceRow


class Hashed(io.RawIOBase):
    """A file that knows the hash and the number of the bytes that were read from it."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self.file, self.sha256, self.bytes = file, hashlib.sha256(), 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` from the file; the number of bytes that came."""
        found = self.file.read(len(buffer))
        buffer[: len(found)] = found
        self.sha256.update(found)
        self.bytes += len(found)
        return len(found)


def stream_rows(
    path: str | Sequence[str], key: str, files: list[dict[str, Any]], whole: bool = False
) -> Iterator[SourceRow]:
    """The rows that ``read_files`` gives, one at a time; ``files`` is filled with path, bytes and sha256 of each file.

    JSON Lines and CSV (also .gz, .bz2, .xz) are never in memory as a whole, other formats one file at a time.
    Raises RequestError.
    """
    found = find_files(path, key)
    label = found[0].name if len(found) == 1 else f"{len(found)} files"
    yield from bounded_rows(found, key, label, lambda: chain.from_iterable(_rows(f, key, whole) for f in found), files)


def _rows(file: Path, key: str, whole: bool) -> Iterator[Read]:
    extension = PurePosixPath(bare(file.name)).suffix.lower()
    if extension not in (".jsonl", ".csv") or _is_array(file):
        yield from all_rows([file], key, whole)
        return
    try:
        with file.open("rb") as opened:
            raw = Hashed(opened)
            lines = _lines(raw, file.name, file.stat().st_size)
            for number, values in csv_rows(lines, file.name) if extension == ".csv" else _json(lines, file.name):
                yield file.name, number, values
            while raw.read(1 << 20):  # what follows the end of a compressed stream
                pass
    except PROBLEMS as problem:
        raise RequestError(f"{key}: {file} must be readable, found: {problem}. Repair or copy it again") from problem
    yield None, 0, {"path": file.name, "bytes": raw.bytes, "sha256": raw.sha256.hexdigest()}


def _unpacking(file: io.BufferedIOBase, name: str) -> IO[bytes]:
    """``file``, unpacked on the way where its name says that it is compressed."""
    unpack = UNPACK.get(PurePosixPath(name).suffix.lower())
    return unpack(file) if unpack else cast("IO[bytes]", file)


def _is_array(file: Path) -> bool:
    """True if a file called .jsonl holds one JSON array instead of a sequence of lines."""
    try:
        with file.open("rb") as opened:
            return _unpacking(opened, file.name).read(4096).removeprefix(BOM).lstrip().startswith(b"[")
    except PROBLEMS:
        return False  # said by whoever reads on


def _lines(raw: Hashed, name: str, size: int) -> Iterator[str]:
    """The lines of a file of ``size`` bytes. Raises RequestError where one, or all that is unpacked, goes on."""
    opened = _unpacking(io.BufferedReader(raw), name)
    most = left = max(FREE_EXPANSION, MOST_EXPANSION * size)
    number = 0
    while line := opened.readline(LONGEST_ROW + 1):
        number += 1
        left -= len(line)
        if len(line) > LONGEST_ROW:
            raise too_long(name, number)
        if left < 0:
            raise too_expanded(name, size, most)
        try:
            yield (line.removeprefix(BOM) if number == 1 else line).decode()
        except UnicodeDecodeError as problem:
            raise RequestError(
                f"{name}: must be UTF-8, found byte 0x{line[problem.start]:02x} in line {number}. "
                f"Convert it, e.g. iconv -f latin1 -t utf-8 {name}"
            ) from problem


def _json(lines: Iterator[str], name: str) -> Numbered:
    for row, line in enumerate(lines, start=1):
        if line.strip():
            yield row, json_line(line, name, row)
