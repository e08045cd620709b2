"""Parquet, through pyarrow."""

from __future__ import annotations

from mollm_cli.core.errors import RequestError
from mollm_cli.data.rows import Numbered


def read_parquet(content: bytes, name: str) -> Numbered:
    """The rows of a Parquet file. Raises RequestError where it is none."""
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(content))
    except pyarrow.ArrowInvalid as problem:
        raise RequestError(f"{name}: must be a Parquet file, found: {problem}. Write it again") from problem
    yield from enumerate(table.to_pylist(), start=1)
