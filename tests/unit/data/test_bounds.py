"""Files and templates that ask for more work or memory than they look: one message, soon, and no more memory here."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from mollm_cli.core.budget import Budget, spending
from mollm_cli.core.errors import RequestError
from mollm_cli.data.arrow_rows import read_parquet
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.deletion import divide
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.encoding import encode_all
from mollm_cli.data.files import read_files, read_lines
from mollm_cli.data.load_dataset import load
from mollm_cli.data.preview import preview
from mollm_cli.data.streaming import stream_rows
from tests.unit.data.conftest import build

END = "</s>"
MEMORY = r"must take at most \d+ MiB of memory, found that it needs more.*limits\.memory_gib=0\.2 on the command line"


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    with spending(Budget(seconds=1.5, memory_gib=0.05)):
        yield


def _read(path: Path) -> None:
    read_files(str(path), "data.forget.path")


def _stream(path: Path) -> None:
    for _ in stream_rows(str(path), "data.source", []):
        pass


def _equal_rows() -> bytes:
    sink = pyarrow.BufferOutputStream()
    table = pyarrow.table({"question": pyarrow.array(["q"] * 600_000).dictionary_encode()})
    pyarrow.parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


@cache
def _different_lines() -> bytes:
    """Equal short lines would be one text many times over, which this process may have room for without asking."""
    return gzip.compress(b"".join(b"%060d\n" % number for number in range(4_000_000)), 1)


FILES: dict[str, Callable[[], bytes]] = {
    "small objects.json.gz": lambda: gzip.compress(b"[" + b"{}," * 2_000_000 + b"{}]"),
    "short lines.jsonl.gz": lambda: gzip.compress(b"{}\n" * 4_000_000),
    "short cells.csv.gz": lambda: gzip.compress(b"a\n" + b"1\n" * 1_000_000),
    "short lines.txt.gz": _different_lines,
    "equal rows.parquet": _equal_rows,
}


@pytest.mark.parametrize("name", FILES)
def test_a_small_file_does_not_fill_the_memory(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name]())
    with spending(Budget(seconds=20, memory_gib=0.05)), pytest.raises(RequestError, match=f"reading {name} {MEMORY}"):
        _read(tmp_path / name)


def test_nor_do_the_lines_of_a_list(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(_different_lines())
    with spending(Budget(seconds=20, memory_gib=0.05)), pytest.raises(RequestError, match=rf"answers: .* {MEMORY}"):
        read_lines(str(tmp_path / "a.txt.gz"), "data.forget.answers")


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet"])
@pytest.mark.parametrize("read", [_read, _stream])
def test_one_row_of_fifty_mebibytes_is_named(name: str, read: Callable[[Path], None], tmp_path: Path) -> None:
    long = "word " * (10 << 20)
    rows = [{"a": "b"}, {"a": long}]
    writers: dict[str, Callable[[], bytes]] = {
        ".jsonl": lambda: "".join(json.dumps(row) + "\n" for row in rows).encode(),
        ".json": lambda: json.dumps(rows).encode(),
        ".csv": lambda: f"a\nb\n{long}\n".encode(),
        ".parquet": lambda: _parquet(rows),
    }
    (tmp_path / name).write_bytes(writers[Path(name).suffix]())
    with (
        spending(Budget()),
        pytest.raises(RequestError, match=rf"{name}: row \d must have at most 16 MiB, found a line"),
    ):
        read(tmp_path / name)


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


def test_what_is_kept_of_a_stream_counts(tmp_path: Path) -> None:
    """The file is read row by row, and the rows are this process's."""
    line = b'{"question": "q", "answer": "a"}\n'
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(line * 200_000))
    forget = Dataset("d", path=str(tmp_path / "a.jsonl.gz"), prompt_field="question", answer_field="answer", ids=["0"])
    message = r"data\.source: the rows that are kept must take at most 51 MiB.* from row \d+ of .*memory_gib=0\.2"
    with spending(Budget(seconds=60, memory_gib=0.05)), pytest.raises(RequestError, match=message):
        divide(forget, forget, "answer", None, cache=False)


TEMPLATES = {
    "loops": ("{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3, "must take at most .* seconds"),
    "range": ("{% for a in range(10**9) %}x{% endfor %}", "found OverflowError"),
    "zero": ("{{1/0}}", "found ZeroDivisionError"),
    "recursion": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "found RecursionError"),
    "text": ("{{ 'a' * 10 ** 9 }}", MEMORY),
    "power": ("{{ 10 ** (10 ** 9) }}", "must take at most .* (seconds|MiB)"),
    "syntax": ("{% for", "chat template must take the turns"),
    "a number": (5, "found TypeError"),
    "a list": ([1], "chat template must take the turns"),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_a_program_that_ends_in_a_message(name: str, tmp_path: Path) -> None:
    template, message = TEMPLATES[name]
    file = tmp_path / "a.jsonl"
    file.write_text('{"question": "Q", "answer": "a"}\n')
    tokenizer = build("<s> $A", eos_token=END, bos_token="<s>")
    tokenizer.chat_template = template
    rows = load(Dataset("d", path=str(file), prompt_field="question", answer_field="answer"), "forget")
    with pytest.raises(RequestError, match=message) as refused:
        encode_all(rows, "forget", tokenizer)
    assert "data.forget" in str(refused.value) and len(str(refused.value)) < 600
    if name == "zero":
        with pytest.raises(RequestError, match=message):
            preview(rows, "forget", tokenizer)
        with pytest.raises(RequestError, match=message):
            Encoder(tokenizer).asking(["Q"], "auto", "the prompt")


def test_no_text_of_a_row_is_in_what_a_template_raises(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"question": "Anna Ellis", "answer": "a"}\n')
    tokenizer = build("<s> $A", eos_token=END, bos_token="<s>")
    tokenizer.chat_template = "{{ messages[0]['content'] + 1 }}"
    rows = load(Dataset("d", path=str(file), prompt_field="question", answer_field="answer"), "forget")
    with pytest.raises(RequestError, match="found TypeError") as refused:
        encode_all(rows, "forget", tokenizer)
    assert "Anna" not in str(refused.value)


def test_a_table_reserves_no_more_addresses_than_it_needs() -> None:
    """Under a limit of memory the pool that takes a GiB at once would refuse what is small."""
    before = pyarrow.default_memory_pool()
    try:
        assert len(list(read_parquet(_parquet([{"a": "b"}]), "a.parquet"))) == 1
        assert pyarrow.default_memory_pool().backend_name == "system"
    finally:
        pyarrow.set_memory_pool(before)
