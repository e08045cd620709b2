"""Tables as spreadsheets export them, read whole and row by row alike."""

from __future__ import annotations

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.files import read_files
from mollm_cli.data.load_dataset import load
from mollm_cli.data.streaming import stream_rows

ROWS = [{"question": "Wer läutet?", "answer": "Nan,\nläutet; 1,5"}, {"question": "007", "answer": "3,50"}]


def table(separator: str, ends: str = "\r\n", tail: str = "") -> str:
    """ROWS with every field in quotes; ``tail`` stands at the end of each line."""
    lines = [["question", "answer"], *([*row.values()] for row in ROWS)]
    return "".join(separator.join(f'"{cell}"' for cell in cells) + tail + ends for cells in lines)


FILES = {
    "comma": ("a.csv", table(",").encode()),
    "semicolon": ("a.csv", table(";").encode()),
    "tab": ("a.csv", table("\t").encode()),
    "tab in .tsv": ("a.tsv", table("\t").encode()),
    "bar": ("a.csv", table("|").encode()),
    "mark": ("a.csv", table(";").encode("utf-8-sig")),
    "UTF-16 with a mark": ("a.csv", table(";").encode("utf-16")),
    "UTF-16 LE": ("a.csv", table("\t").encode("utf-16-le")),
    "UTF-16 BE": ("a.csv", table(",").encode("utf-16-be")),
    "UTF-32": ("a.csv", table(",").encode("utf-32")),
    "Excel names its separator": ("a.csv", ("sep=|\r\n" + table("|")).encode("utf-8-sig")),
    "ends of an old Mac": ("a.csv", table(";", "\r").encode()),
    "columns used once": ("a.csv", table(";", tail=";;").encode()),
    "rows used once": ("a.csv", (table(",") + ",\r\n , \r\n\r\n").encode()),
    "a blank line before the header": ("a.csv", ("\n" + table(",")).encode()),
}


@pytest.mark.parametrize("case", FILES)
def test_tables_are_read_as_they_are_exported(tmp_path, case):
    name, content = FILES[case]
    (tmp_path / name).write_bytes(content)
    whole = read_files(str(tmp_path / name), "data.forget.path").rows
    assert [(row.row, row.values) for row in whole] == list(enumerate(ROWS, start=1))
    assert list(stream_rows(str(tmp_path / name), "data.source", [])) == whole


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("question,answer\nq;p,a|b\n", [{"question": "q;p", "answer": "a|b"}]),
        ("frage;ant, wort\nq;a\np;b, c\n", [{"frage": "q", "ant, wort": "a"}, {"frage": "p", "ant, wort": "b, c"}]),
        ("a, b, c;question;answer\nx, y, z;q;a\n", [{"a, b, c": "x, y, z", "question": "q", "answer": "a"}]),
        ("text\na; b\n", [{"text": "a; b"}]),
        ("text\n", []),
        ("", []),
    ],
)  # fmt: skip
def test_the_separator_is_the_one_that_the_header_speaks_for(tmp_path, text, rows):
    (tmp_path / "a.csv").write_text(text)
    assert [row.values for row in read_files(str(tmp_path / "a.csv"), "k").rows] == rows


WINDOWS = "question,answer\nWho?,Zo\xe9 \u201cthe cook\u201d\u2026\n".encode("cp1252")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.txt"])
def test_an_encoding_that_is_named_counts_for_every_text_file(tmp_path, name):
    content = {
        "l": '{"text": "Zo\xe9\u2026"}\n',
        "n": '[{"text": "Zo\xe9\u2026"}]',
        "v": "text\nZo\xe9\u2026\n",
        "t": "Zo\xe9\u2026\n",
    }
    (tmp_path / name).write_bytes(content[name[-1]].encode("cp1252"))
    path = str(tmp_path / name)
    described = Dataset("d", path=path, kind="text", text_field="text", encoding="cp1252")
    assert [example.answer for example in load(described, "forget").examples] == ["Zo\xe9\u2026"]
    assert [row.values["text"] for row in stream_rows(path, "data.source", [], encoding="cp1252")] == ["Zo\xe9\u2026"]
    with pytest.raises(RequestError, match=rf"{name}: .* 0xe9 in line \d. Set data.forget.encoding=cp1252"):
        load(Dataset("d", path=path, kind="text", text_field="text"), "forget")


def test_other_answers_are_read_in_the_same_encoding(tmp_path, write, qa):
    (tmp_path / "idk.txt").write_bytes("Ich wei\xdf nicht.\n".encode("cp1252"))
    path = write("a.jsonl", {"question": "q"})
    [example] = load(qa(path=path, answers=str(tmp_path / "idk.txt"), encoding="cp1252"), "forget").examples
    assert example.answer == "Ich wei\xdf nicht."
    with pytest.raises(
        RequestError, match=r"idk.txt: must be UTF-8, found byte 0xdf in line 1. Set data.alternate.encoding=cp1252"
    ):
        load(qa(path=path, answers=str(tmp_path / "idk.txt")), "alternate")


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (WINDOWS, None, "must be UTF-8, found byte 0xe9 in line 2. Set data.forget.encoding=cp1252 if a"),
        ("é,ä\nö,ü\n".encode() + b"x,Zo\xe9\n", None, "must be UTF-8, found .* in line 3. Most .* repair that line"),
        (b"q,a\nx,\x81\x8d\n", None, "must be UTF-8, found byte 0x81 in line 2. Set data.forget.encoding to the"),
        (b"q,a\nx,\x81\n", "cp1252", "must be CP1252, found byte 0x81 in line 2. Set data.forget.encoding to the"),
        (b"\xff\xfeq\x00,\x00a\x00\n\x00\x00\xd8", None, "must be UTF-16, found byte 0x"),
    ],
)  # fmt: skip
def test_bytes_in_another_encoding_are_told_with_what_helps(tmp_path, content, encoding, message):
    (tmp_path / "a.csv").write_bytes(content)
    for read in (
        lambda: read_files(str(tmp_path / "a.csv"), "data.forget.path", encoding=encoding),
        lambda: list(stream_rows(str(tmp_path / "a.csv"), "data.source", [], encoding=encoding)),
    ):
        with pytest.raises(RequestError, match=f"a.csv: {message}"):
            read()


@pytest.mark.parametrize("encoding", ["cp12525", "rot13", "base64", "idna", "", "a\0"])
def test_an_encoding_that_is_none_is_refused(encoding):
    with pytest.raises(ValueError, match="dataset 'd': encoding must be one such as utf-8, cp1252"):
        Dataset("d", prompt_field="q", answer_field="a", encoding=encoding)


def test_a_mark_counts_more_than_what_is_named(tmp_path):
    (tmp_path / "a.csv").write_bytes(table(";").encode("utf-8-sig"))
    assert read_files(str(tmp_path / "a.csv"), "k", encoding="cp1252").rows[0].values == ROWS[0]


def test_columns_without_a_name_that_hold_something_are_told(tmp_path):
    (tmp_path / "a.csv").write_text("q;a;\n1;2;3\n")
    with pytest.raises(RequestError, match="row 1 must have the 2 columns of the header, found 3. .*name every column"):
        read_files(str(tmp_path / "a.csv"), "k")
