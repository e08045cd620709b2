"""A user's files as rows, whatever their format. Errors name the file and the row."""

from __future__ import annotations

import difflib
import glob
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mollm_cli.assets.locate import is_embedded, resolve
from mollm_cli.core.bounded import streamed
from mollm_cli.core.errors import RequestError
from mollm_cli.data.arrow_rows import SPLITS, STATE, read_arrow, read_parquet, saved_files
from mollm_cli.data.compression import UNPACK, ZIP, bare, unpacked
from mollm_cli.data.csv_rows import read_csv
from mollm_cli.data.decoding import HEAD, decode, encoding_of
from mollm_cli.data.json_rows import read_json
from mollm_cli.data.limits import LARGEST_BYTES, LONGEST_ROW, check_lines, read_up_to, too_large, too_long, weight
from mollm_cli.data.source_row import Numbered, Source, SourceRow
from mollm_cli.data.text_rows import read_document, read_text

TEXT_READERS = {".jsonl": read_json, ".json": read_json, ".csv": read_csv, ".tsv": read_csv, ".txt": read_text}
TABLE_READERS = {".parquet": read_parquet, ".arrow": read_arrow}
EXTENSIONS = (*TEXT_READERS, *TABLE_READERS)
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".npy", ".npz", ".joblib")
WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
CACHED = ("datasets--", "models--")
"""Beginnings of the names that the Hub's cache gives to folders of repositories."""
Read = tuple[str | None, int, Any]
"""(name, 1-based row, columns) of a row; (None, 0, {path, bytes, sha256}) when a file is at its end."""
ABOUT = ("dataset_info.json", "dataset_infos.json", SPLITS, STATE)
"""Files that ``datasets`` writes beside its data."""


def read_files(path: str | Sequence[str], key: str, whole: bool = False, encoding: str | None = None) -> Source:
    """All rows of the file, folder or glob ``path``, or of several; ``key`` is the configuration key they came from.

    Formats: .jsonl and .json (lines or array), .csv, .tsv, .txt, .parquet, .arrow; .gz, .bz2, .xz and .zip of these; a
    folder of datasets' save_to_disk. ``whole``: a .txt file is one row, not a row per line. ``encoding``: of text files
    without a mark. Raises RequestError.
    """
    files = find_files(path, key)
    label = files[0].name if len(files) == 1 else f"{len(files)} files of {_shown(path)}"
    rows: list[SourceRow] = []
    record: list[dict[str, Any]] = []
    for row in bounded_rows(files, key, label, lambda: all_rows(files, key, whole, encoding), record, True):
        rows.append(row)
    return Source(rows, len(rows), label, {"files": record})


def bounded_rows(
    files: Sequence[Path],
    key: str,
    label: str,
    read: Callable[[], Iterator[Read]],
    record: list[dict[str, Any]],
    holds: bool = False,
) -> Iterator[SourceRow]:
    """The rows that ``read`` finds in ``files``, in a process with limits; ``record`` is filled with what it notes.

    What is shipped with this package is read here: it is ours. holds: as in core/bounded.py. Raises RequestError.
    """
    before = last = 0
    place = ""
    for name, row, values in _bounded(files, key, label, read, holds):
        if name is None:
            record.append(values)
            continue
        if name != place:
            place, before = name, last
        last = before + row
        yield SourceRow(values, name, row, last)


def _bounded(
    files: Sequence[Path], key: str, label: str, read: Callable[[], Iterable[Any]], holds: bool
) -> Iterable[Any]:
    if all(map(is_embedded, files)):
        return read()
    size = sum(file.stat().st_size for file in files)
    remedy = "Look at what it holds, read less of it"
    return streamed(f"{key}: reading {label}", read, remedy, size, holds, tells=False)


def all_rows(files: Sequence[Path], key: str, whole: bool, encoding: str | None = None) -> Iterator[Read]:
    """The items of ``read_files``, read in this process. Raises RequestError."""
    for file in files:
        content = _content(file, key)
        for name, data in unpacked(content, file.name, EXTENSIONS):
            for row, values in _parse(data, name, key, whole, encoding):
                if not whole and weight(values) > LONGEST_ROW:
                    raise too_long(name, row)
                yield name, row, values
        digest = hashlib.sha256(content).hexdigest()
        yield None, 0, {"path": file.name, "bytes": len(content), "sha256": digest}


def read_lines(path: str, key: str, encoding: str | None = None) -> list[str]:
    """The lines of a text file that are not blank, whatever it is called. Raises RequestError."""
    return [line for _, line in numbered_lines(path, key, encoding)]


def numbered_lines(path: str, key: str, encoding: str | None = None) -> list[tuple[int, str]]:
    """(1-based line, its text) of every line that is not blank. Raises RequestError."""
    files = find_files(path, key)
    found = _bounded(files, key, path, lambda: _all_lines(files, key, encoding), holds=True)
    return [(number, line) for number, line in found]


def _all_lines(files: Sequence[Path], key: str, encoding: str | None) -> Iterator[tuple[int, str]]:
    for file in files:
        for name, data in unpacked(_content(file, key), file.name, EXTENSIONS):
            for number, line in enumerate(decode(data, name, key, encoding).split("\n"), start=1):
                if line.strip():
                    yield number, line.strip()


def find_files(path: str | Sequence[str], key: str) -> list[Path]:
    """The files that ``path`` means, those of one place sorted by name. Raises RequestError where there is none."""
    if not isinstance(path, str):
        if not path:
            raise RequestError(f"{key} must name a file, found an empty list. Set {key}=FILE")
        return [file for place in path for file in find_files(place, key)]
    place = resolve(path)
    if place.is_file():
        return [place]
    if place.is_dir():
        return _inside(place, saved_files(place, key) or _in_folder(place, path, key), key)
    matches = glob.glob(str(place), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    found = sorted(Path(match) for match in matches if Path(match).is_file())
    if not found:
        raise RequestError(f"{key}={path} must be a file, a folder or a glob, found nothing there. {_hint(place, key)}")
    for file in found:
        _inside(file.parent, [file], key)
    return found


def _inside(folder: Path, files: list[Path], key: str) -> list[Path]:
    """``files`` where none of them is a link (or a name with ..) to elsewhere: a folder does not choose what is read.

    The Hub's cache is let through: its snapshots are links to the blobs beside them. Raises RequestError.
    """
    for file in files:
        meant, home = file.resolve(), folder.resolve()
        stores = [place / "blobs" for place in home.parents if place.name.startswith(CACHED) and file.is_symlink()]
        if not any(meant.is_relative_to(place) for place in (home, *stores)):
            raise RequestError(
                f"{key}: the files of {folder} must stand in that folder, found {file.name}, which leads to {meant}. "
                f"If that is what you mean, name it: {key}={meant}"
            )
    return files


def _in_folder(place: Path, path: str, key: str) -> list[Path]:
    files = (file for file in place.iterdir() if file.is_file() and file.name not in ABOUT)
    found = sorted(file for file in files if _extension(file.name) in (*EXTENSIONS, ZIP))
    if not found:
        raise RequestError(
            f"{key}={path} must hold data files, found none of {', '.join(EXTENSIONS)} in the folder. Name another"
        )
    return found


def _shown(path: str | Sequence[str]) -> str:
    return path if isinstance(path, str) else ", ".join(path)


def _hint(place: Path, key: str) -> str:
    beside = [file.name for file in place.parent.iterdir()] if place.parent.is_dir() else []
    close = difflib.get_close_matches(place.name, beside, n=1)
    return f"Did you mean {key}={place.parent / close[0]}?" if close else f"Set {key}=FILE to one that exists"


def _content(file: Path, key: str) -> bytes:
    try:
        with file.open("rb") as opened:
            content = read_up_to(opened, LARGEST_BYTES) if (size := file.stat().st_size) <= LARGEST_BYTES else b""
    except OSError as problem:
        raise RequestError(
            f"{key}: {file} must be readable, found: {problem.strerror}. Check its permissions"
        ) from problem
    if size > LARGEST_BYTES or len(content) > LARGEST_BYTES:
        raise too_large(str(file), f"{max(size, len(content)) >> 20} MiB")
    return content


def _extension(name: str) -> str:
    return PurePosixPath(bare(name)).suffix.lower()


def _parse(content: bytes, name: str, key: str, whole: bool, encoding: str | None) -> Numbered:
    extension = _extension(name)
    if extension in TABLE_READERS:
        return TABLE_READERS[extension](content, name)
    if extension in PICKLES:
        raise RequestError(
            f"{key}: {name} may be a pickle, which runs code when it is opened, and is not read. Write its rows as one "
            f"of {', '.join(EXTENSIONS)}"
        )
    if extension not in TEXT_READERS:
        remedy = "Save its sheet as CSV, in UTF-8" if extension in WORKBOOKS else "Rename or convert the file"
        raise RequestError(
            f"{key}: the extension of {name} must be one of {', '.join(EXTENSIONS)} (or {', '.join((*UNPACK, ZIP))} of "
            f"these), found '{extension}'. {remedy}"
        )
    document = whole and extension == ".txt"
    if not document and not is_array(content[:HEAD], encoding):
        check_lines(content, name)
    read = read_document if document else TEXT_READERS[extension]
    return read(decode(content, name, key, encoding), name)


def is_array(head: bytes, encoding: str | None) -> bool:
    """True if a text file that begins with ``head`` holds one JSON array, which is no sequence of lines."""
    return head.decode(encoding_of(head, encoding), "ignore").lstrip().startswith("[")
