"""Large files row by row: JSON Lines and CSV, also compressed. The hash is taken on the way, so a file is read once."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from mollm_cli.core.errors import RequestError
from mollm_cli.data.compression import PROBLEMS, bare
from mollm_cli.data.csv_rows import csv_rows
from mollm_cli.data.files import find_files, read_files
from mollm_cli.data.json_rows import json_line
from mollm_cli.data.rows import Numbered, Row

BOM = b"\xef\xbb\xbf"


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


def stream_rows(path: str | Sequence[str], key: str, files: list[dict[str, Any]], whole: bool = False) -> Iterator[Row]:
    """The rows that ``read_files`` gives, one at a time; ``files`` is filled with path, bytes and sha256 of each file.

    JSON Lines and CSV (also .gz, .bz2, .xz) are never in memory as a whole, other formats one file at a time.
    Raises RequestError.
    """
    before = 0
    for file in find_files(path, key):
        last = 0
        for row in _rows(file, key, files, whole):
            last = row.number
            yield Row(row.values, row.source, row.row, before + row.number)
        before += last


def _rows(file: Path, key: str, files: list[dict[str, Any]], whole: bool) -> Iterator[Row]:
    extension = PurePosixPath(bare(file.name)).suffix.lower()
    if extension not in (".jsonl", ".csv") or _is_array(file):
        source = read_files(str(file), key, whole)
        files += source.record["files"]
        yield from source.rows
        return
    try:
        with file.open("rb") as opened:
            raw = Hashed(opened)
            lines = _lines(raw, file.name)
            for number, values in csv_rows(lines, file.name) if extension == ".csv" else _json(lines, file.name):
                yield Row(values, file.name, number, number)
            while raw.read(1 << 20):  # what follows the end of a compressed stream
                pass
    except PROBLEMS as problem:
        raise RequestError(f"{key}: {file} must be readable, found: {problem}. Repair or copy it again") from problem
    files.append({"path": file.name, "bytes": raw.bytes, "sha256": raw.sha256.hexdigest()})


def _unpacking(file: io.BufferedIOBase, name: str) -> IO[bytes]:
    """``file``, unpacked on the way where its name says that it is compressed."""
    ending = PurePosixPath(name).suffix.lower()
    if ending == ".gz":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=cast("IO[bytes]", file)))
    if ending == ".bz2":
        return cast("IO[bytes]", bz2.BZ2File(cast("IO[bytes]", file)))
    return cast("IO[bytes]", lzma.LZMAFile(cast("IO[bytes]", file)) if ending == ".xz" else file)


def _is_array(file: Path) -> bool:
    """Whether a file that is called .jsonl holds one JSON array, which is no sequence of lines."""
    try:
        with file.open("rb") as opened:
            return _unpacking(opened, file.name).read(4096).removeprefix(BOM).lstrip().startswith(b"[")
    except PROBLEMS:
        return False  # said by whoever reads on


def _lines(raw: Hashed, name: str) -> Iterator[str]:
    for number, line in enumerate(_unpacking(io.BufferedReader(raw), name), start=1):
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
