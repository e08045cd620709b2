"""Files that come to more than they look: refused with bounded memory."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.data import arrow_rows, compression, csv_rows, files, limits, streaming
from mollm_cli.data.files import find_files, read_files
from mollm_cli.data.streaming import stream_rows

MIB = 1 << 20
BOUNDED = """
import resource, sys
from mollm_cli.core.errors import RequestError
from mollm_cli.data.files import read_files
from mollm_cli.data.streaming import stream_rows
import pyarrow.parquet, pyarrow.ipc, pyarrow.compute
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
for path in sys.argv[1:]:
    for read in (lambda: read_files(path, "k"), lambda: list(stream_rows(path, "k", []))):
        try:
            read()
        except RequestError as refused:
            print(refused)
"""


def _zip(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", content)
        archive.writestr("b.jsonl", content)
    return buffer.getvalue()


def _arrow(table: pyarrow.Table) -> bytes:
    buffer = io.BytesIO()
    with pyarrow.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


def _parquet(table: pyarrow.Table) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()


def _sparse(file: Path, size: int) -> Path:
    with file.open("wb") as opened:
        opened.truncate(size)
    return file


@pytest.mark.slow
def test_no_bomb_takes_much_memory(tmp_path: Path) -> None:
    """One process with 3 GiB of addresses reads them all, each both ways."""
    nulls = pyarrow.table({"a": pyarrow.nulls(1 << 24)})
    line = b" " * (MIB - 1) + b"\n"
    bombs = {
        "a.jsonl.gz": (gzip.compress(line) * 100, "must unpack to at most 64 MiB"),
        "b.jsonl.bz2": (bz2.compress(line) * 100, "must unpack to at most 64 MiB"),
        "c.csv.xz": (lzma.compress(line, preset=0) * 100, "must unpack to at most 64 MiB"),
        "d.zip": (_zip(line * 35), "must unpack to at most 64 MiB"),
        "e.arrow": (
            _arrow(nulls),
            "found 16777216 rows. Split it|reading e.arrow must take at most 1024 MiB of memory",
        ),
        "f.jsonl": (b"[" * MIB, "must hold JSON that can be read, found: "),
    }
    for name, (content, _) in bombs.items():
        (tmp_path / name).write_bytes(content)
    sparse = {
        "g.jsonl": ("a file must have at most 2048 MiB, found 1048576 MiB", "row 1 must have at most 16 MiB"),
        "h.csv": ("a file must have at most 2048 MiB, found 1048576 MiB", "row 1 must have at most 16 MiB"),
    }
    paths = [str(tmp_path / name) for name in bombs] + [str(_sparse(tmp_path / name, 1 << 40)) for name in sparse]
    done = subprocess.run([sys.executable, "-c", BOUNDED, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    wanted = [message for _, message in bombs.values() for _ in range(2)] + [
        m for pair in sparse.values() for m in pair
    ]
    said = done.stdout.splitlines()
    assert len(said) == len(wanted)
    for line, message in zip(said, wanted, strict=True):
        assert any(text in line for text in message.split("|")) and len(line) < 500


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test reaches at once."""
    for module in (limits, arrow_rows, compression, csv_rows, files, streaming):
        small = {"LARGEST_BYTES": 20_000, "LONGEST_ROW": 1000, "FREE_EXPANSION": 5000, "MOST_EXPANSION": 10}
        for name, value in small.items():
            monkeypatch.setattr(module, name, value, raising=False)


TEXT = "x" * 5000
LINES = b'{"a": 1}\n'
REFUSED = {
    "long.jsonl": (LINES + json.dumps({"a": TEXT}).encode(), "long.jsonl: row 2 must have at most 0 MiB"),
    "long.csv": (f"a\n1\n{TEXT}\n".encode(), "long.csv: row 3 must have at most 0 MiB"),
    "open.csv": ('a\n"' + "x\n" * 900, "open.csv: row 1 must have at most 0 MiB, found a line or field that goes on"),
    "long.txt": (TEXT.encode(), "long.txt: row 1 must have at most 0 MiB"),
    "large.json": (b"[" + b"1," * 11_000 + b"1]", "large.json: a file must have at most 0 MiB"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_rows_and_files_end(name: str, tmp_path: Path, small: None) -> None:
    content, message = REFUSED[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RequestError, match=message):
        read_files(str(tmp_path / name), "k")
    if name.endswith((".jsonl", ".csv")):
        with pytest.raises(RequestError, match=message):
            list(stream_rows(str(tmp_path / name), "k", []))


def test_what_packs_well_but_not_too_well_is_read(tmp_path: Path, small: None) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(LINES * 500))
    assert len(list(read_files(str(tmp_path / "a.jsonl.gz"), "k").rows)) == 500
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(LINES * 600))
    path = str(tmp_path / "b.jsonl.gz")
    for read in (lambda: read_files(path, "k"), lambda: list(stream_rows(path, "k", []))):
        with pytest.raises(RequestError, match="b.jsonl.gz: must unpack to at most 0 MiB, found .* bytes that come to"):
            read()


PART = "x" * 900
TEXT_MAP = pyarrow.map_(pyarrow.string(), pyarrow.string())
TABLES = {
    "nulls": pyarrow.table({"a": pyarrow.nulls(1000)}),
    "lists of nulls": pyarrow.table({"a": pyarrow.array([[None] * 2000])}),
    "a text again and again": pyarrow.table({"a": pyarrow.array([PART] * 50).dictionary_encode()}),
    "texts": pyarrow.table({"a": [PART] * 50}),
    "inside": pyarrow.table({"a": [{"b": [PART] * 50}]}),
    "a map": pyarrow.table({"a": pyarrow.array([[(str(n), PART) for n in range(50)]], TEXT_MAP)}),
}


@pytest.mark.parametrize("write", [_arrow, _parquet])
@pytest.mark.parametrize("name", TABLES)
def test_tables_come_to_what_their_values_come_to(name: str, write, tmp_path: Path, small: None) -> None:  # type: ignore[no-untyped-def]
    ending = write.__name__.removeprefix("_")
    file = tmp_path / f"a.{ending}"
    file.write_bytes(write(TABLES[name]))
    with pytest.raises(RequestError, match=rf"a.{ending}: a file must have at most 0 MiB, found "):
        list(read_files(str(file), "k").rows)


def test_a_table_whose_offsets_lie_is_refused(tmp_path: Path) -> None:
    """Reading it would reach beyond its buffers."""
    offsets = b"\0\0\0\0\x40\0\0\0"
    honest = _arrow(pyarrow.table({"a": ["x" * 64]}))
    before, _, after = honest.rpartition(offsets)
    (tmp_path / "a.arrow").write_bytes(before + b"\0\0\0\0\0\0\0\x40" + after)
    with pytest.raises(RequestError, match="a.arrow: must be an Arrow file, found: "):
        list(read_files(str(tmp_path / "a.arrow"), "k").rows)


def test_types_whose_values_overlap_are_refused(tmp_path: Path) -> None:
    runs = pyarrow.RunEndEncodedArray.from_arrays([1 << 30], ["x"])
    (tmp_path / "a.arrow").write_bytes(_arrow(pyarrow.table({"a": runs.slice(0, 10)})))
    with pytest.raises(RequestError, match="a.arrow: must be an Arrow file, found: a column of the type RunEnd"):
        list(read_files(str(tmp_path / "a.arrow"), "k").rows)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that a dataset has no business with."""
    file = tmp_path / "secret.txt"
    file.write_text("the secret")
    return file


def test_a_folder_does_not_choose_what_is_read(tmp_path: Path, secret: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.txt").symlink_to(secret)
    for path in (str(data), str(data / "*.txt")):
        with pytest.raises(RequestError, match=f"files of .*data must stand in that folder, found a.txt, .*k={secret}"):
            find_files(path, "k")
    assert find_files(str(data / "a.txt"), "k") == [data / "a.txt"]  # named by the user


@pytest.mark.parametrize("named", ["../secret.txt", "SECRET"])
def test_a_saved_dataset_does_not_either(named: str, tmp_path: Path, secret: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "state.json").write_text(json.dumps({"_data_files": [{"filename": named.replace("SECRET", str(secret))}]}))
    with pytest.raises(RequestError, match="k: the files of .*data must stand in that folder, found secret.txt"):
        find_files(str(data), "k")


def test_the_hubs_cache_is_links(tmp_path: Path) -> None:
    home = tmp_path / "datasets--org--name"
    snapshot = home / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (home / "blobs").mkdir()
    (home / "blobs" / "ff").write_text("x")
    (snapshot / "a.txt").symlink_to("../../blobs/ff")
    assert find_files(str(snapshot), "k") == [snapshot / "a.txt"]


@pytest.mark.parametrize("name", ["../a.jsonl", "/etc/a.jsonl", "d/../../a.jsonl", "C:\\a.jsonl", "..\\a.jsonl"])
def test_members_of_an_archive_stand_in_it(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good.jsonl", LINES)
        archive.writestr(name, LINES)
    with pytest.raises(RequestError, match="a.zip: members must stand inside the archive, found .*a.jsonl'. Pack"):
        read_files(str(tmp_path / "a.zip"), "k")
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["a.zip"]


@pytest.mark.parametrize("name", ["a.pkl", "a.pt", "a.pickle.gz", "a.bin", "a.npy"])
def test_a_pickle_is_not_opened(name: str, tmp_path: Path) -> None:
    import pickle

    class Trap:
        def __reduce__(self) -> object:
            return Path.mkdir, (tmp_path / "ran",)

    content = pickle.dumps(Trap())
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(RequestError, match=f"k: {name} may be a pickle, which runs code when it is opened, and is"):
        read_files(str(tmp_path / name), "k")
    assert not (tmp_path / "ran").exists()


def test_what_is_no_file_is_not_opened() -> None:
    with pytest.raises(RequestError, match="k=/dev/zero must be a file, a folder or a glob, found nothing there"):
        read_files("/dev/zero", "k")
