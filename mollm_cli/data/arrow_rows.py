"""Parquet and Arrow, through pyarrow; a folder that ``datasets.Dataset.save_to_disk`` wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mollm_cli.core.budget import budget
from mollm_cli.core.discretion import cause, origin
from mollm_cli.core.errors import RequestError
from mollm_cli.data.limits import LARGEST_BYTES, too_large
from mollm_cli.data.source_row import Numbered

STATE = "state.json"
"""The file that makes a folder one of ``save_to_disk``; beside it stand the .arrow files that it names, in order."""
SPLITS = "dataset_dict.json"
"""The file that makes a folder one of splits, each of them a folder of ``save_to_disk``."""
IPC_FILE = b"ARROW1"
"""The first bytes of an Arrow file; without them the same records are a stream, as ``datasets`` writes them."""
TOGETHER = 256
"""Rows that are made Python objects at once."""
ROW_BYTES, VALUE_BYTES = 256, 16
"""The least memory that a row and a value take."""


def read_parquet(content: bytes, name: str) -> Numbered:
    """The rows of a Parquet file. Raises RequestError where it is none, or comes to more than limits.py allows."""
    yield from _rows(_parquet_batches, content, name, "a Parquet file")


def read_arrow(content: bytes, name: str) -> Numbered:
    """The rows of an Arrow file or stream. Raises RequestError as ``read_parquet``."""
    yield from _rows(_arrow_batches, content, name, "an Arrow file")


def saved_files(folder: Path, key: str) -> list[Path] | None:
    """The files of a folder that ``save_to_disk`` wrote, in order; None where it is no such folder.

    Raises RequestError for a folder of splits, and where the folder's own list of files is broken.
    """
    if (folder / SPLITS).is_file():
        splits = sorted(place.name for place in folder.iterdir() if (place / STATE).is_file())
        raise RequestError(
            f"{key}={folder} must be one split, found a folder of {', '.join(splits) or 'none'}. "
            f"Set {key}={folder / splits[0] if splits else 'FOLDER'}"
        )
    if not (folder / STATE).is_file():
        return None
    try:
        files = [folder / entry["filename"] for entry in json.loads((folder / STATE).read_text())["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise RequestError(
            f"{key}: {folder / STATE} must list the files of save_to_disk, found {type(problem).__name__}: {problem}. "
            "Save the dataset again"
        ) from problem
    lost = next((place for place, file in enumerate(files, start=1) if not file.is_file()), None)
    if lost is not None:
        raise RequestError(
            f"{key}={folder} must hold the files of its {STATE}, found {lost - 1} of {len(files)} and not the next. "
            "Copy it whole"
        )
    return files


class _UnreadTypeError(Exception):
    """A type of columns that is not read; its own name holds those of the fields."""


def _parquet_batches(content: bytes, name: str) -> Iterator[Any]:
    """The batches of a Parquet file. A column's values may all be its largest one: batches are cut accordingly."""
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

    file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
    _check_rows(file.metadata.num_rows, len(content), name)
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    largest = max((column.total_uncompressed_size for column in columns), default=0)
    size = max(1, min(TOGETHER, LARGEST_BYTES // (2 * max(1, largest))))
    yield from file.iter_batches(batch_size=size, use_threads=False)  # a forked process has none of its parent's


def _arrow_batches(content: bytes, name: str) -> Iterator[Any]:
    """The batches of an Arrow file or stream, in pieces; each is held against its own buffers before it is read."""
    import pyarrow
    import pyarrow.ipc  # type: ignore[import-untyped]

    buffer = pyarrow.BufferReader(content)
    if content.startswith(IPC_FILE):
        file = pyarrow.ipc.open_file(buffer)
        batches = (file.get_batch(number) for number in range(file.num_record_batches))
    else:
        batches = iter(pyarrow.ipc.open_stream(buffer))
    for batch in batches:
        _check_rows(batch.num_rows, len(content), name)
        batch.validate(full=True)
        yield from (batch.slice(start, TOGETHER) for start in range(0, batch.num_rows, TOGETHER))


def _check_rows(count: int, size: int, name: str) -> None:
    """Refuse at once what would not fit: so many rows of a file of ``size`` bytes. A few bytes may stand for any."""
    if count * ROW_BYTES > budget().bytes_for(size):
        raise MemoryError
    if count * ROW_BYTES > LARGEST_BYTES:
        raise too_large(name, f"{count} rows")


def _rows(batches: Callable[[bytes, str], Iterator[Any]], content: bytes, name: str, what: str) -> Numbered:
    import pyarrow

    pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # takes what it needs; others reserve a GiB of addresses
    row, left = 0, LARGEST_BYTES
    try:
        for batch in batches(content, name):
            left -= ROW_BYTES * batch.num_rows + sum(_bytes(column, left) for column in batch.columns)
            if left < 0:
                raise too_large(name, f"rows that come to more, from row {row + 1} on")
            for values in batch.to_pylist():
                row += 1
                yield row, values
    except MemoryError:  # pyarrow's own is an ArrowException too
        raise
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, OverflowError) as problem:
        raise RequestError(f"{name}: must be {what}, found: {cause(problem)}. Write it again") from origin(problem)
    except _UnreadTypeError as problem:
        raise RequestError(f"{name}: must be {what}, found: {problem}. Write it again") from problem


def _bytes(array: Any, most: int) -> int:
    """About what the values of ``array`` come to as Python objects; past ``most`` they are not counted further.

    A few bytes of a file may stand for any number of values: nulls, lists of nulls, one text of a dictionary again and
    again. Raises _UnreadTypeError for types whose values may overlap (views, runs, unions): no dataset needs them.
    """
    import pyarrow
    import pyarrow.compute  # type: ignore[import-untyped]

    kind, types = array.type, pyarrow.types
    own = VALUE_BYTES * len(array)
    if own > most:
        return own
    if isinstance(array, pyarrow.ExtensionArray):
        return _bytes(array.storage, most)
    if types.is_dictionary(kind) and _is_text(array.dictionary):
        lengths = pyarrow.compute.binary_length(array.dictionary).take(array.indices)
        return own + (pyarrow.compute.sum(lengths).as_py() or 0)
    if types.is_struct(kind):
        return own + sum(_bytes(array.field(number), most) for number in range(kind.num_fields))
    if types.is_map(kind):
        first, length = array.offsets[0].as_py(), array.offsets[-1].as_py() - array.offsets[0].as_py()
        return own + sum(_bytes(inner.slice(first, length), most) for inner in (array.keys, array.items))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return own + _bytes(array.flatten(), most)
    if _is_text(array):
        return own + (pyarrow.compute.sum(pyarrow.compute.binary_length(array)).as_py() or 0)
    if not (types.is_primitive(kind) or types.is_null(kind) or types.is_dictionary(kind) or types.is_decimal(kind)):
        raise _UnreadTypeError(f"a column of the type {type(kind).__name__}, which is not read")
    return own


def _is_text(array: Any) -> bool:
    import pyarrow

    text, bytes_ = ("is_string", "is_large_string"), ("is_binary", "is_large_binary", "is_fixed_size_binary")
    return any(getattr(pyarrow.types, name)(array.type) for name in (*text, *bytes_))
