"""Compressed files: .gz, .bz2 and .xz hold one file, .zip holds any number."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import PurePosixPath

from mollm_cli.core.errors import RequestError

UNPACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
}
ZIP = ".zip"
PROBLEMS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)
ZIP_PROBLEMS = (*PROBLEMS, zipfile.BadZipFile, RuntimeError, NotImplementedError, KeyError)
"""Encrypted members are a RuntimeError, foreign methods of compression a NotImplementedError."""


def bare(name: str) -> str:
    """``name`` without the extension of its compression."""
    return next((name.removesuffix(end) for end in UNPACK if name.lower().endswith(end)), name)


def unpacked(content: bytes, name: str, extensions: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of what is in a file; of a .zip its members of the known ``extensions``, sorted by name.

    Raises RequestError where it cannot be unpacked.
    """
    ending = PurePosixPath(name).suffix.lower()
    if ending == ZIP:
        yield from _members(content, name, extensions)
        return
    if ending in UNPACK:
        try:
            content = UNPACK[ending](content)
        except PROBLEMS as problem:
            what = "gzip" if ending == ".gz" else ending.removeprefix(".")
            raise RequestError(f"{name}: must be {what}, found: {problem}. Compress it again") from problem
    yield name, content


def _members(content: bytes, name: str, extensions: Collection[str]) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            kept = [place for place in sorted(archive.namelist()) if _is_data(place, extensions)]
            found = [(f"{name}/{place}", archive.read(place)) for place in kept]
    except ZIP_PROBLEMS as problem:
        raise RequestError(f"{name}: must be zip, found: {problem}. Compress it again") from problem
    if not found:
        raise RequestError(f"{name}: must hold data files, found none of {', '.join(extensions)}. Pack some")
    yield from found


def _is_data(place: str, extensions: Collection[str]) -> bool:
    path = PurePosixPath(place)
    return path.suffix.lower() in extensions and not any(part.startswith((".", "__MACOSX")) for part in path.parts)
