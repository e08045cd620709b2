"""Large files row by row: JSON Lines and CSV, also compressed. The hash is taken on the way, so a file is read once."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, Any

from mollm_cli.core.errors import RequestError
from mollm_cli.data.compression import PROBLEMS, UNPACK, bare
from mollm_cli.data.csv_rows import csv_rows
from mollm_cli.data.decoding import HEAD, encoding_of, undecodable
from mollm_cli.data.files import Read, all_rows, bounded_rows, find_files, is_array
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
    path: str | Sequence[str],
    key: str,
    files: list[dict[str, Any]],
    whole: bool = False,
    encoding: str | None = None,
) -> Iterator[SourceRow]:
    """The rows that ``read_files`` gives, one at a time; ``files`` is filled with path, bytes and sha256 of each file.

    JSON Lines and CSV (also .gz, .bz2, .xz) are never in memory as a whole, other formats one file at a time.
    Raises RequestError.
    """
    found = find_files(path, key)
    label = found[0].name if len(found) == 1 else f"{len(found)} files"

    def read() -> Iterator[Read]:
        return chain.from_iterable(_rows(file, key, whole, encoding) for file in found)

    yield from bounded_rows(found, key, label, read, files)


def _rows(file: Path, key: str, whole: bool, encoding: str | None) -> Iterator[Read]:
    extension = PurePosixPath(bare(file.name)).suffix.lower()
    if extension not in (".jsonl", ".csv", ".tsv") or _is_array(file, encoding):
        yield from all_rows([file], key, whole, encoding)
        return
    try:
        with file.open("rb") as opened:
            raw = Hashed(opened)
            ends = "\n" if extension == ".jsonl" else ""
            lines = _lines(raw, file, key, encoding, ends)
            for number, values in _json(lines, file.name) if ends else csv_rows(lines, file.name):
                yield file.name, number, values
            while raw.read(1 << 20):  # what follows the end of a compressed stream
                pass
    except PROBLEMS as problem:
        raise RequestError(f"{key}: {file} must be readable, found: {problem}. Repair or copy it again") from problem
    yield None, 0, {"path": file.name, "bytes": raw.bytes, "sha256": raw.sha256.hexdigest()}


def _unpacking(file: Any, name: str) -> Any:
    """``file``, unpacked on the way where its name says that it is compressed."""
    unpack = UNPACK.get(PurePosixPath(name).suffix.lower())
    return unpack(file) if unpack else file


def _is_array(file: Path, encoding: str | None) -> bool:
    """True if a file called .jsonl holds one JSON array instead of a sequence of lines."""
    try:
        with file.open("rb") as opened:
            return is_array(_unpacking(opened, file.name).read(HEAD), encoding)
    except PROBLEMS:
        return False  # said by whoever reads on


def _lines(raw: Hashed, file: Path, key: str, given: str | None, ends: str) -> Iterator[str]:
    """The lines of a file with their ends, which are those of ``io.TextIOWrapper``'s newline.

    Raises RequestError where one, or all that is unpacked, goes on.
    """
    opened = io.BufferedReader(_unpacking(io.BufferedReader(raw), file.name))
    size = file.stat().st_size
    encoding = encoding_of(opened.peek(HEAD), given)
    text = io.TextIOWrapper(opened, encoding, newline=ends)
    most = left = max(FREE_EXPANSION, MOST_EXPANSION * size)
    number = 0
    try:
        while line := text.readline(LONGEST_ROW + 1):
            number += 1
            left -= len(line)
            if len(line) > LONGEST_ROW:
                raise too_long(file.name, number)
            if left < 0:
                raise too_expanded(file.name, size, most)
            yield line
    except UnicodeDecodeError as problem:  # met in the piece that begins in the line after the last one
        line_number = number + 1 + problem.object.count(b"\n", 0, problem.start)
        raise undecodable(problem, file.name, line_number, key, encoding) from problem


def _json(lines: Iterator[str], name: str) -> Numbered:
    for row, line in enumerate(lines, start=1):
        if line.strip():
            yield row, json_line(line, name, row)
