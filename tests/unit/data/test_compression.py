from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.data.files import find_files, read_files

LINE = b'{"a": 1}\n'
PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            plain = name.replace("__", "/").replace("_dot_", ".").replace("MAC", "__MACOSX")
            archive.writestr(zipfile.ZipInfo(plain), content, zipfile.ZIP_DEFLATED)  # no time: bytes name a test
    return buffer.getvalue()


@pytest.mark.parametrize("ending", PACK)
def test_compressed_files_are_read(tmp_path, ending):
    (tmp_path / f"a.jsonl{ending}").write_bytes(PACK[ending](LINE))
    [row] = read_files(str(tmp_path / f"a.jsonl{ending}"), "k").rows
    assert (row.values, row.source) == ({"a": 1}, f"a.jsonl{ending}")


def test_a_zip_holds_several_files_and_others(tmp_path):
    members = {
        "d__b_dot_jsonl": LINE,
        "a_dot_csv": "a\n2\n3\n",
        "notes_dot_md": "x",
        "MAC__a_dot_csv": "a\n9\n",
        "_dot_hidden__c_dot_csv": "a\n9\n",
    }
    (tmp_path / "a.zip").write_bytes(zipped(**members))
    rows = list(read_files(str(tmp_path), "k").rows)
    assert [(row.source, row.row, row.number) for row in rows] == [
        ("a.zip/a.csv", 1, 1),
        ("a.zip/a.csv", 2, 2),
        ("a.zip/d/b.jsonl", 1, 3),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl.gz", gzip.compress(LINE, mtime=0)[:-9], "a.jsonl.gz: must be gzip, found"),
        ("a.jsonl.gz", gzip.compress(LINE, mtime=0)[:12] + b"\xff" * 20, "a.jsonl.gz: must be gzip, found"),
        ("a.jsonl.bz2", b"plain", "a.jsonl.bz2: must be bz2, found"),
        ("a.jsonl.xz", b"plain", "a.jsonl.xz: must be xz, found"),
        ("a.zip", b"plain", "a.zip: must be zip, found"),
        ("a.zip", zipped(a_dot_csv="a\n1\n")[:40], "a.zip: must be zip, found"),
        ("a.zip", zipped(a_dot_md="x"), "a.zip: must hold data files, found none of .jsonl, "),
        ("a.zip", zipped(a_dot_jsonl='{"a"'), "a.zip/a.jsonl: row 1 must be a JSON object"),
    ],
)
def test_a_broken_archive_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=message):
        read_files(str(tmp_path / name), "k")


def test_a_list_of_places_keeps_its_order(tmp_path, write):
    b, a = write("b.jsonl", {"a": 1}), write("a.jsonl", {"a": 2})
    source = read_files([b, str(tmp_path / "a*")], "k")
    assert [row.values["a"] for row in source.rows] == [1, 2]
    assert source.label == f"2 files of {b}, {tmp_path / 'a*'}"
    assert find_files([a, b], "k")[0].name == "a.jsonl"
    with pytest.raises(RequestError, match=r"k must name a file, found an empty list. Set k=FILE"):
        find_files([], "k")


def test_a_whole_text_is_one_row(tmp_path):
    (tmp_path / "a.txt").write_text("One.\n\nTwo.\n")
    (tmp_path / "b.txt").write_text(" \n")
    [row] = read_files(str(tmp_path), "k", whole=True).rows
    assert (row.source, row.row, row.values) == ("a.txt", 1, {"text": "One.\n\nTwo.\n"})


def test_json_that_python_refuses_is_named(tmp_path):
    (tmp_path / "deep.jsonl").write_text("[" * 100_000)
    with pytest.raises(RequestError, match=r"deep.jsonl: must hold JSON that can be read, found: .*recursion"):
        read_files(str(tmp_path / "deep.jsonl"), "k")
    (tmp_path / "long.jsonl").write_text('{"a": ' + "1" * 5000 + "}\n")
    with pytest.raises(RequestError, match=r"long.jsonl: row 1 must hold JSON that can be read, found: Exceeds"):
        read_files(str(tmp_path / "long.jsonl"), "k")


def test_a_chapter_fits_in_a_field_of_csv_and_columns_are_named_once(tmp_path):
    (tmp_path / "long.csv").write_text("text\n" + "x" * 200_000 + "\n")
    [row] = read_files(str(tmp_path / "long.csv"), "k").rows
    assert len(row.values["text"]) == 200_000
    (tmp_path / "twice.csv").write_text("a,b,a\n1,2,3\n")
    alike = r"twice.csv: the header must name each column once, found the columns 1 and 3 called alike \(a text of 1 "
    with pytest.raises(RequestError, match=alike):
        read_files(str(tmp_path / "twice.csv"), "k")


@pytest.fixture
def saved(tmp_path):
    """A folder of save_to_disk with two files, and one of splits."""
    import datasets

    table = datasets.Dataset.from_list([{"a": i} for i in range(5)])
    table.save_to_disk(tmp_path / "one", num_shards=2)
    datasets.DatasetDict(train=table, test=table).save_to_disk(tmp_path / "splits")
    return tmp_path


def test_a_saved_dataset_is_read_in_order(saved):
    source = read_files(str(saved / "one"), "k")
    assert [row.values["a"] for row in source.rows] == list(range(5))
    assert len(source.record["files"]) == 2
    assert [row.number for row in source.rows] == [1, 2, 3, 4, 5]
    assert len(list(read_files(str(saved / "splits" / "train"), "k").rows)) == 5


def test_an_arrow_file_is_read_in_both_forms(tmp_path):
    import pyarrow

    table = pyarrow.table({"a": [1]})
    with pyarrow.ipc.new_file(tmp_path / "file.arrow", table.schema) as writer:
        writer.write_table(table)
    with pyarrow.ipc.new_stream(tmp_path / "stream.arrow", table.schema) as writer:
        writer.write_table(table)
    assert [row.values for row in read_files(str(tmp_path / "*.arrow"), "k").rows] == [{"a": 1}, {"a": 1}]
    (tmp_path / "bad.arrow").write_bytes(b"ARROW1 no")
    with pytest.raises(RequestError, match=r"bad.arrow: must be an Arrow file, found"):
        read_files(str(tmp_path / "bad.arrow"), "k")


def test_a_saved_dataset_that_is_not_whole_is_refused(saved):
    with pytest.raises(RequestError, match=r"splits must be one split, found a folder of test, train. Set k=.*test"):
        find_files(str(saved / "splits"), "k")
    (saved / "one" / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(RequestError, match=r"must hold the files of its state.json, found 1 of 2 and not the next"):
        find_files(str(saved / "one"), "k")
    (saved / "one" / "state.json").write_text(json.dumps({"x": 1}))
    with pytest.raises(RequestError, match=r"state.json must list the files of save_to_disk, found KeyError"):
        find_files(str(saved / "one"), "k")
