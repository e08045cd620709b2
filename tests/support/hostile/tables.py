"""Parquet and Arrow that lie."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from typing import Any

from tests.support.hostile.hostile_input import PLANTED, Make
from tests.support.hostile.rows import ROWS, data_file, forgetting


def _parquet(rows: list[dict[str, Any]], **options: Any) -> bytes:
    import pyarrow
    import pyarrow.parquet

    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink, **options)
    return sink.getvalue()


def _equal_rows(count: int, column: str) -> bytes:
    """Parquet of rows that are all alike, made without making them: kilobytes that stand for gigabytes."""
    import pyarrow
    import pyarrow.parquet

    index = pyarrow.array([0], pyarrow.int32()).take(pyarrow.repeat(pyarrow.scalar(0, pyarrow.int32()), count))
    values = pyarrow.DictionaryArray.from_arrays(index, pyarrow.array([column]))
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"question": values, "answer": values}), sink, row_group_size=count)
    return sink.getvalue()


def arrow(rows: list[dict[str, Any]]) -> bytes:
    """An Arrow file."""
    import pyarrow

    table, sink = pyarrow.Table.from_pylist(rows), io.BytesIO()
    with pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def hostile_tables() -> Iterator[Make]:
    """Rows that are more than they look, and files damaged at random."""
    whole, other = _parquet(ROWS), arrow(ROWS)
    yield lambda place, rng: forgetting(place, place.write("a.parquet", _equal_rows(3_000_000, "a" * 20)))
    yield lambda place, rng: forgetting(place, place.write("a.parquet", _equal_rows(40_000, "a" * 40_000)))
    yield data_file("a.parquet", _parquet([{f"c{n}": n for n in range(3000)}]))
    yield data_file("a.parquet", _parquet([{"question": {"a": {"b": PLANTED}}, "answer": [PLANTED]}] * 12))
    yield data_file("a.parquet", _parquet([{"question": 5, "answer": None}] * 12))
    yield data_file("a.parquet", _parquet([{"question": PLANTED.encode(), "answer": b"\xff"}] * 12))
    yield data_file("a.parquet", b"PAR1" + b"\xff\xff\xff\x7f" + b"PAR1")
    for name, content in (("a.parquet", whole), ("a.arrow", other)):
        yield data_file(name, content[: len(content) // 2])
        for n in range(12):
            rng = random.Random(f"{name} {n}")
            damaged = bytearray(content)
            for _ in range(rng.choice((1, 4, 40))):
                damaged[rng.randrange(4, len(damaged))] = rng.randrange(256)
            yield data_file(name, bytes(damaged))
