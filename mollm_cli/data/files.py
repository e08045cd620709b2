"""A user's file, folder or glob as rows, whatever its format. Errors name the file and the row."""

from __future__ import annotations

import difflib
import glob
import gzip
import hashlib
from pathlib import Path

from mollm_cli.assets.locate import resolve
from mollm_cli.core.errors import RequestError
from mollm_cli.data.csv_rows import read_csv
from mollm_cli.data.json_rows import read_json
from mollm_cli.data.parquet_rows import read_parquet
from mollm_cli.data.rows import Numbered, Row, Source
from mollm_cli.data.text_rows import read_text

TEXT_READERS = {".jsonl": read_json, ".json": read_json, ".csv": read_csv, ".txt": read_text}
EXTENSIONS = (*TEXT_READERS, ".parquet")


def read_files(path: str, key: str) -> Source:
    """All rows of the file, folder or glob ``path``; ``key`` is the configuration key it came from.

    Formats: .jsonl and .json (lines or array), .csv, .txt, .parquet; also .gz of these. Raises RequestError.
    """
    rows: list[Row] = []
    record = []
    files = find_files(path, key)
    for file in files:
        before = rows[-1].number if rows else 0
        content = _content(file, key)
        for row, values in _parse(content, file, key):
            rows.append(Row(values, file.name, row, before + row))
        record.append({"path": file.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    label = files[0].name if len(files) == 1 else f"{len(files)} files of {path}"
    return Source(rows, len(rows), label, {"files": record})


def find_files(path: str, key: str) -> list[Path]:
    """The files that ``path`` means, sorted by name. Raises RequestError where there is none."""
    place = resolve(path)
    if place.is_file():
        return [place]
    if place.is_dir():
        found = sorted(file for file in place.iterdir() if file.is_file() and _extension(file) in EXTENSIONS)
        if not found:
            raise RequestError(
                f"{key}={path} must hold data files, found none of {', '.join(EXTENSIONS)} in the folder"
            )
        return found
    matches = glob.glob(str(place), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    found = sorted(Path(match) for match in matches if Path(match).is_file())
    if not found:
        raise RequestError(f"{key}={path} must be a file, a folder or a glob, found nothing there. {_hint(place, key)}")
    return found


def _hint(place: Path, key: str) -> str:
    beside = [file.name for file in place.parent.iterdir()] if place.parent.is_dir() else []
    close = difflib.get_close_matches(place.name, beside, n=1)
    return f"Did you mean {key}={place.parent / close[0]}?" if close else f"Set {key}=FILE to one that exists"


def _content(file: Path, key: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as problem:
        raise RequestError(
            f"{key}: {file} must be readable, found: {problem.strerror}. Check its permissions"
        ) from problem


def _extension(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).suffix.lower()


def _parse(content: bytes, file: Path, key: str) -> Numbered:
    extension = _extension(file)
    if file.suffix == ".gz":
        content = _unzip(content, file.name)
    if extension == ".parquet":
        return read_parquet(content, file.name)
    if extension not in TEXT_READERS:
        raise RequestError(
            f"{key}: the extension of {file.name} must be one of {', '.join(EXTENSIONS)}, found '{extension}'. "
            "Rename or convert the file"
        )
    return TEXT_READERS[extension](_decode(content, file.name), file.name)


def _unzip(content: bytes, name: str) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError) as problem:
        raise RequestError(f"{name}: must be gzip, found: {problem}. Compress it again") from problem


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise RequestError(
            f"{name}: must be UTF-8, found byte 0x{content[problem.start]:02x} in line {line}. "
            f"Convert it, e.g. iconv -f latin1 -t utf-8 {name}"
        ) from problem
