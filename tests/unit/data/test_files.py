from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.data.files import find_files, read_files

ROWS = [{"question": "a, b", "answer": "x\ny"}, {"question": "é\u2028", "answer": "z"}]


def values(path):
    return [row.values for row in read_files(str(path), "data.forget.path").rows]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.json.gz", "a.jsonl.gz"])
@pytest.mark.parametrize("shape", ["lines", "array", "indented", "lines with a mark"])
def test_both_json_shapes_load_whatever_the_extension(tmp_path, name, shape):
    whole = json.dumps(ROWS, ensure_ascii=False, indent=2 if shape == "indented" else None)
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
    content = whole if shape in ("array", "indented") else "\ufeff" * ("mark" in shape) + lines
    data = content.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert values(tmp_path / name) == ROWS


def test_csv_keeps_commas_and_line_breaks_in_quotes(tmp_path):
    (tmp_path / "a.csv").write_text('question,answer\n"a, b","x\ny"\n', newline="")
    assert values(tmp_path / "a.csv") == [ROWS[0]]


def test_parquet(tmp_path):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    assert values(tmp_path / "a.parquet") == ROWS


def test_plain_text_is_a_row_per_line_and_rows_are_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes(b" \n = Title = \r\n\n one \n")
    rows = list(read_files(str(tmp_path / "a.txt"), "k").rows)
    assert [(row.row, row.values["text"]) for row in rows] == [(2, "= Title ="), (4, "one")]


def test_blank_lines_of_json_lines_are_counted(tmp_path):
    (tmp_path / "a.jsonl").write_text('\n{"a": 1}\n\n{"a": 2}\n')
    assert [row.where for row in read_files(str(tmp_path / "a.jsonl"), "k").rows] == [
        "row 2 of a.jsonl",
        "row 4 of a.jsonl",
    ]


def test_folders_and_globs_are_read_in_order_and_numbered_through(tmp_path, write):
    write("b.jsonl", {"a": 3})
    write("a.jsonl", {"a": 1}, {"a": 2})
    (tmp_path / "notes.md").write_text("no data")
    for path in (str(tmp_path), str(tmp_path / "*.jsonl")):
        source = read_files(path, "k")
        assert [(row.source, row.row, row.number, row.values["a"]) for row in source.rows] == [
            ("a.jsonl", 1, 1, 1),
            ("a.jsonl", 2, 2, 2),
            ("b.jsonl", 1, 3, 3),
        ]
        assert source.label == f"2 files of {path}"
        assert [file["path"] for file in source.record["files"]] == ["a.jsonl", "b.jsonl"]


def test_a_name_with_brackets_is_a_name(tmp_path, write):
    assert values(write("a[1].jsonl", {"a": 1})) == [{"a": 1}]


def test_the_record_is_of_the_bytes_on_disk(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"abc")
    [file] = read_files(str(tmp_path / "a.txt"), "k").record["files"]
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file == {"path": "a.txt", "bytes": 3, "sha256": sha256}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": \n', r"a.jsonl: row 2 must be a JSON object, found text that is not JSON"),
        ("a.jsonl", b'{"a": 1}\n"text"\n', r"a.jsonl: row 2 must be a JSON object with named fields, found str"),
        ("a.json", b'[{"a": 1}, 7]', r"a.json: row 2 must be a JSON object with named fields, found int"),
        ("a.json", b'[{"a": 1},\n {"a"]', r"a.json: must be a JSON array of objects, found .* line 2"),
        (
            "a.jsonl",
            b'{"a": 1}\n{"a": "\xe9"}\n',
            "a.jsonl: must be UTF-8, found byte 0xe9 in line 2. Set data.forget.enc",
        ),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", "a.csv: row 2 must have the 2 columns of the header, found 3"),
        ("a.csv", b"a,b\n1\n", "a.csv: row 1 must have the 2 columns of the header, found fewer"),
        ("a.csv", b'a,b\n1,2\n"1"x,2\n', "a.csv: row 2 must be CSV, found"),
        ("a.parquet", b"PAR1 no", "a.parquet: must be a Parquet file, found"),
        ("a.jsonl.gz", b"plain", "a.jsonl.gz: must be gzip, found"),
        (
            "a.xlsx",
            b"x",
            "data.forget.path: the extension of a.xlsx must be one of .jsonl, .json, .csv, .*Save its sheet as CSV",
        ),
    ],
)
def test_a_bad_file_is_named_with_its_row(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=message):
        values(tmp_path / name)


def test_a_missing_file_is_named_and_its_neighbour_offered(tmp_path, write):
    there = write("forget.jsonl", {})
    with pytest.raises(RequestError, match=f"forgot.jsonl must be a file, .*Did you mean data.forget.path={there}"):
        find_files(str(tmp_path / "forgot.jsonl"), "data.forget.path")
    with pytest.raises(RequestError, match=r"data.forget.path=/no/such must be a file, .*Set data.forget.path=FILE"):
        find_files("/no/such", "data.forget.path")


def test_a_folder_without_data_is_refused(tmp_path):
    (tmp_path / "notes.md").write_text("no data")
    with pytest.raises(RequestError, match=r"must hold data files, found none of .jsonl, "):
        find_files(str(tmp_path), "data.forget.path")


def test_an_unreadable_file_is_refused(tmp_path, write, monkeypatch):
    path = write("a.jsonl", {})
    if os.access(path, os.R_OK) and os.geteuid() == 0:  # root reads everything
        refuse = PermissionError(13, "Permission denied")
        monkeypatch.setattr("pathlib.Path.open", lambda *_: (_ for _ in ()).throw(refuse))
    else:
        Path(path).chmod(0)
    with pytest.raises(RequestError, match=r"data.forget.path: .*a.jsonl must be readable, found: Permission denied"):
        values(path)
