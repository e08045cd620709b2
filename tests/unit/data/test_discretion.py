"""A name planted in every place of a data file, whatever is wrong with the file, stands in no message."""

from __future__ import annotations

import gzip
import json
import logging
import re
import sys
import traceback
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import yaml

from mollm_cli.core.discretion import reason, telling, trace
from mollm_cli.core.errors import RequestError
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.deletion import divide, report
from mollm_cli.data.encoding import encode_all
from mollm_cli.data.headers import KNOWN, columns, looks_like_row
from mollm_cli.data.load_dataset import load
from mollm_cli.data.pairing import Pairing, load_roles
from tests.unit.data.conftest import build

NAME = "Zyxwv Personname"
ROW = f"{NAME} was born on the 3rd of May 1970 and lives at 12 Elm Street with two dogs."
QA = {"prompt_field": "question", "answer_field": "answer"}
TEXT = {"kind": "text", "text_field": ["text", "story"]}
CHAT = {"kind": "chat", "messages_field": "messages"}
CHOICE = {"kind": "choice", "prompt_field": "question", "choices_field": "choices", "answer_field": "right"}
GOOD = {"question": "q", "answer": "a", "text": "t", "choices": ["x", "y"], "right": 0}


def chat(*turns: Any) -> dict[str, Any]:
    return {"messages": list(turns)}


def user(content: Any = "q") -> dict[str, Any]:
    return {"role": "user", "content": content}


ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "key": ({NAME: "x", "id": 1}, QA),
    "key like the field": ({"question " + NAME: "x", "answer": "a"}, QA),
    "keys": ({NAME: "x", ROW: "y"}, TEXT),
    "key of a filter": ({NAME: "x", "question": "q", "answer": "a"}, {**QA, "filter": {"topic": "x"}}),
    "key of a variant": ({NAME: "x", "question": "q"}, {**QA, "variants": [{"answer": "reply"}]}),
    "nothing left": ({"question": NAME, "answer": ROW, "topic": NAME}, {**QA, "filter": {"topic": "x"}}),
    "no number": ({"question": NAME, "answer": ROW, "topic": NAME}, {**QA, "filter": {"topic": {"min": 2}}}),
    "flag": ({"question": "q", "answer": "a", "harm": {NAME: True}}, {**QA, "filter": {"harm": "Fraud"}}),
    "flags": ({"question": "q", "answer": "a", "harm": {NAME: True, "x": 0}}, {**QA, "filter": {"harm": ["x", "y"]}}),
    "no text": ({"question": {NAME: 1}, "answer": "a"}, QA),
    "list": ({"question": [NAME], "answer": "a"}, QA),
    "no answer": ({"question": NAME, "answer": ""}, QA),
    "no prompt": ({"question": " ", "answer": NAME}, QA),
    "perturbed": ({"question": NAME, "answer": "a", "wrong": {NAME: 1}}, {**QA, "perturbed_field": "wrong"}),
    "messages": ({"messages": NAME}, CHAT),
    "message": (chat(NAME), CHAT),
    "role": (chat({"role": NAME, "content": "x"}), CHAT),
    "speaker": (chat({"from": NAME, "value": "x"}), CHAT),
    "role of another type": (chat({"role": {NAME: 1}, "content": "x"}), CHAT),
    "key of a message": (chat({NAME: "user", ROW: "x"}), CHAT),
    "content": (chat(user({NAME: 1})), CHAT),
    "no answer of the assistant": (chat(user(NAME)), CHAT),
    "system later": (chat(user(NAME), {"role": "system", "content": NAME}), CHAT),
    "choices": ({"question": "q", "choices": NAME, "right": 0}, CHOICE),
    "choices of another type": ({"question": "q", "choices": {NAME: None}, "right": 0}, CHOICE),
    "right choice": ({"question": "q", "choices": ["x", "y"], "right": NAME}, CHOICE),
    "number of a person": ({"question": "q", "choices": ["x", "y"], "right": 7046621}, CHOICE),
    "key of a choice": ({"question": "q", NAME: ["x", "y"], "right": 0}, CHOICE),
}  # fmt: skip


def as_lines(folder: Path, row: dict[str, Any]) -> Path:
    (folder / "a.jsonl").write_text(json.dumps(row) + "\n")
    return folder / "a.jsonl"


def as_array(folder: Path, row: dict[str, Any]) -> Path:
    (folder / "a.json").write_text(json.dumps([row]))
    return folder / "a.json"


def as_gzip(folder: Path, row: dict[str, Any]) -> Path:
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    return folder / "a.jsonl.gz"


def as_zip(folder: Path, row: dict[str, Any]) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("inside.json", json.dumps([row]))
    return folder / "a.zip"


def as_parquet(folder: Path, row: dict[str, Any]) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), folder / "a.parquet")
    return folder / "a.parquet"


def as_arrow(folder: Path, row: dict[str, Any]) -> Path:
    table = pyarrow.Table.from_pylist([row])
    with pyarrow.ipc.new_file(folder / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    return folder / "a.arrow"


FORMS: dict[str, Callable[[Path, dict[str, Any]], Path]] = {
    form.__name__: form for form in (as_lines, as_array, as_gzip, as_zip, as_parquet, as_arrow)
}


class Heard:
    """Whatever is said while ``act`` fails: the message, what it came from, the trace, stderr, warnings, logs."""

    def __init__(self, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
        self.capsys, self.caplog = capsys, caplog

    def __call__(self, act: Callable[[], object], fails: type[Exception] = RequestError) -> str:
        with (
            warnings.catch_warnings(record=True) as warned,
            self.caplog.at_level(logging.DEBUG),
            pytest.raises(fails) as at,
        ):
            warnings.simplefilter("always")
            act()
        error = at.value
        spoken = self.capsys.readouterr()
        whole = traceback.format_exception(error) if fails is RequestError else []
        said = [str(error) if fails is RequestError else "", trace(error), reason(error), *whole]
        texts = [*said, spoken.out, spoken.err, self.caplog.text, *(str(each.message) for each in warned)]
        return "\n".join(texts)


@pytest.fixture
def heard(capsys, caplog):
    return Heard(capsys, caplog)


def silent(said: str) -> None:
    for part in (NAME, *NAME.split(), "born on", "7046621", "Elm"):
        assert part not in said, said


@pytest.mark.parametrize("form", sorted(FORMS))
@pytest.mark.parametrize("case", sorted(ROWS))
def test_a_row_that_is_wrong_is_not_quoted(heard, tmp_path, form, case):
    row, fields = ROWS[case]
    path = FORMS[form](tmp_path, row)
    said = heard(lambda: load(Dataset("d", path=str(path), **fields), "forget"))
    silent(said)
    assert re.search(r"row 1 of|rows read from", said)


@pytest.mark.parametrize("case", sorted(ROWS))
def test_a_row_of_one_big_file_is_not_quoted(heard, tmp_path, case):
    row, fields = ROWS[case]
    forget = Dataset("d", path=str(as_lines(tmp_path, row)), **({"filter": {"id": 1}} | fields))
    silent(heard(lambda: divide(forget, None, None, None, False)))
    by_id = Dataset("d", path=forget.path, ids=[NAME], **fields)
    silent(heard(lambda: divide(by_id, by_id, "person", None, False)))


CSV = {
    "no header": f"{NAME},lives here\nx,y\n",
    "a sentence": f'"{ROW}",{NAME}\nx,y\n',
    "header twice": f"{NAME},b,{NAME}\nx,y,z\n",
    "row twice": f'"{ROW}","{ROW}"\nx,y\n',
    "too many": f"question,answer\n{NAME},b,{ROW}\n",
    "too few": f"question,answer\n{NAME}\n",
    "open quote": f'question,answer\n{NAME},"{ROW}\n',
    "odd quote": f'question,answer\n"{NAME}"x,b\n',
    "semicolons": f"{NAME};b\nx;y\n",
}


@pytest.mark.parametrize(
    "fields", [QA, TEXT, CHOICE, {**QA, "filter": {"topic": "x"}}], ids=["qa", "text", "choice", "filter"]
)
@pytest.mark.parametrize("case", sorted(CSV))
def test_a_csv_that_is_wrong_is_not_quoted(heard, tmp_path, case, fields):
    (tmp_path / "a.csv").write_text(CSV[case])
    dataset = Dataset("d", path=str(tmp_path / "a.csv"), **fields)
    silent(heard(lambda: load(dataset, "forget")))
    silent(heard(lambda: divide(Dataset("d", path=dataset.path, ids=["1"], **fields), None, None, None, False)))


FILES = {
    "a.jsonl": [f'"{NAME}"\n', f"{NAME}\n", f'{{"{NAME}": "x"\n', f'["{NAME}"\n', f'{{"question": "{NAME}\\q"}}\n',
                f'{{"{NAME}": {"9" * 5000}}}\n', f'{{"{NAME}": {"[" * 100_000}\n',
                f'{{"question": "{NAME} \\ud800", "answer": "a"}}\n',
                f'[["{NAME}"]]', f'[{{"{NAME}": 1}} {NAME}]', f'["{NAME}"]'],
    "a.json": [f'[{{"{NAME}": 1}}, "{NAME}"]', f"[{NAME}]", f'{{"{NAME}": ["{ROW}"]}}'],
    "a.txt": ["", " \n"],
    "a.parquet": [f"PAR1{NAME}PAR1", NAME],
    "a.arrow": [f"ARROW1{NAME}", NAME],
    "a.jsonl.gz": [NAME], "a.zip": [NAME], "a.xz": [NAME], "a.pt": [NAME], "a.xml": [NAME],
}  # fmt: skip


@pytest.mark.parametrize(("name", "content"), [(name, text) for name, texts in FILES.items() for text in texts])
def test_a_file_that_is_wrong_is_not_quoted(heard, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    silent(heard(lambda: load(Dataset("d", path=str(tmp_path / name), **QA), "forget")))


def test_bytes_and_columns_of_other_types_are_not_quoted(heard, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(NAME.encode() + b"\xff\n")
    silent(heard(lambda: load(Dataset("d", path=str(tmp_path / "a.jsonl"), **QA), "forget")))
    union = pyarrow.UnionArray.from_sparse(pyarrow.array([0], pyarrow.int8()), [pyarrow.array([1])], [NAME])
    table = pyarrow.table({"question": union})
    with pyarrow.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    said = heard(lambda: load(Dataset("d", path=str(tmp_path / "a.arrow"), **QA), "forget"))
    silent(said)
    assert "a column of the type SparseUnionType, which is not read" in said
    folder = tmp_path / "saved"
    folder.mkdir()
    for files in ([{"filename": NAME}], [{NAME: 1}], [NAME], {NAME: 1}):
        (folder / "state.json").write_text(json.dumps({"_data_files": files}))
        silent(heard(lambda: load(Dataset("d", path=str(folder), **QA), "forget")))


def test_what_arrow_says_of_a_file_is_not_told(heard, tmp_path, monkeypatch):
    def quote(*_: object, **__: object) -> None:
        raise pyarrow.ArrowInvalid(f"cannot read '{NAME}'")

    monkeypatch.setattr(pyarrow.parquet, "ParquetFile", quote)
    path = as_parquet(tmp_path, GOOD)
    said = heard(lambda: load(Dataset("d", path=str(path), **QA), "forget"))
    silent(said)
    assert (
        "a.parquet: must be a Parquet file, found: ArrowInvalid (evaluation.keep_text=true shows what it says). Write"
        in said
    )
    with telling(True):
        assert f"found: cannot read '{NAME}'. Write" in heard(
            lambda: load(Dataset("d", path=str(path), **QA), "forget")
        )


def test_what_two_sets_share_is_not_quoted(heard, tmp_path):
    one, other = {"question": NAME, "answer": ROW}, {"question": ROW, "answer": NAME}
    paths = {}
    for name, rows in {"one": [one, other], "other": [other, one], "else": [{"question": "x", "answer": "y"}]}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        paths[name] = Dataset(name, path=str(tmp_path / f"{name}.jsonl"), **QA)
    one, other, another = paths.values()

    def pairing(**changes: Any) -> Callable[[], object]:
        given = {"forget": one, "retain": other, "test_share": 0.0, **changes}
        return lambda: load_roles(Pairing("p", **given), 0)

    silent(heard(pairing()))
    silent(heard(pairing(drop_overlap=True)))
    silent(heard(pairing(allow_overlap=True, near_duplicates=0.5)))
    silent(heard(pairing(retain=another, retain_test=another)))
    half = Dataset("half", path=one.path, limit=1, **QA)
    silent(heard(pairing(retain=another, alternate=half)))
    silent(heard(pairing(forget=Dataset("d", path=one.path, perturbed=another.path, **QA), retain=another)))


def test_ids_are_not_quoted(capsys, tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps(GOOD | {"id": NAME}) + "\n" + json.dumps(GOOD | {"id": "b"}) + "\n")
    forget = Dataset("d", path=str(tmp_path / "a.jsonl"), ids=[NAME, f"{NAME} too"], **QA)
    found = divide(forget, Dataset("e", path=forget.path, **QA), "id", None, False)
    silent("\n".join(report(found)) + capsys.readouterr().err)
    assert report(found)[0] == "data.forget.ids: 1 of 2 ids stand in no row, those of the lines 2"


TEMPLATES = {
    "its own words": ("{{ raise_exception('System role not supported') }}", "found: System role not supported. Set"),
    "a row's words": ("{{ raise_exception('no ' + messages[0].content) }}", "found: TemplateError ("),
    "a row's key": ("{{ messages[0][messages[0].content].x }}", "found: UndefinedError ("),
}


@pytest.mark.parametrize("case", sorted(TEMPLATES))
def test_what_a_template_says_of_a_row_is_not_told(heard, tmp_path, case):
    template, message = TEMPLATES[case]
    loaded = load(Dataset("d", path=str(as_lines(tmp_path, {"question": NAME, "answer": ROW})), **QA), "forget")
    tokenizer = build("<s> $A", chat=template, eos_token="</s>", bos_token="<s>")
    said = heard(lambda: encode_all(loaded, "forget", tokenizer))
    silent(said)
    assert message in said


def test_what_the_library_of_datasets_says_of_rows_is_not_told(heard, monkeypatch):
    class DatasetGenerationCastError(Exception):
        pass

    def load_dataset(*_: object, **__: object) -> None:
        logging.getLogger("datasets").error("Failed to read file with error: %s", NAME)
        raise DatasetGenerationCastError(f"there are 1 new columns ({{'{NAME}'}})")

    stub = SimpleNamespace(load_dataset=load_dataset, config=SimpleNamespace(HF_HUB_OFFLINE=False))
    monkeypatch.setitem(sys.modules, "datasets", stub)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub = Dataset("d", hub="org/name", split="train", **QA)
    said = heard(lambda: load(hub, "forget"))
    silent(said)
    assert (
        "the local cache does not have it (DatasetGenerationCastError (evaluation.keep_text=true shows what it says))"
        in said
    )
    with telling(True):
        said = heard(lambda: load(hub, "forget"))
    assert f"1 new columns ({{'{NAME}'}})" in said
    assert f"Failed to read file with error: {NAME}" in said


def test_an_error_that_nobody_expected_has_a_trace_without_its_words(heard, tmp_path, monkeypatch):
    def fail(row: object, *_: object) -> None:
        try:
            raise KeyError(str(row))
        except KeyError as problem:
            raise TypeError(f"not {row}") from problem

    monkeypatch.setattr("mollm_cli.data.reading.to_example", fail)
    path = as_lines(tmp_path, GOOD | {"question": NAME})
    monkeypatch.setattr("mollm_cli.data.reading.first_failed", lambda row, *_: fail(row))
    said = heard(lambda: load(Dataset("d", path=str(path), **QA), "forget"), TypeError)
    silent(said)
    assert "KeyError (evaluation.keep_text=true shows what it says)\n\nThen this happened" in said
    assert "reading.py" in said
    with telling(True):
        assert NAME in heard(lambda: load(Dataset("d", path=str(path), **QA), "forget"), TypeError)
    assert reason(ValueError("of no reader")) == "ValueError: of no reader"
    assert "ValueError: of no reader" in trace(ValueError("of no reader"))


CLEAR = {
    "csv": ("a.csv", f"{NAME},b\nx,y\n", QA, f"found: {NAME}, b. Set"),
    "row for a header": ("a.csv", f"{NAME},a@b.org\nx,y\n", QA, f"characters \\({NAME}, a@b.org\\): the first line"),
    "header twice": ("a.csv", f"{NAME},{NAME}\nx,y\n", QA, f"called alike \\('{NAME}'\\)"),
    "key": ("a.jsonl", json.dumps({NAME: 1}), QA, f"found: {NAME}. Set data.forget.prompt_field={NAME}"),
    "role": ("a.jsonl", json.dumps(chat({"role": NAME, "content": "x"})), CHAT, f"found '{NAME}' in message 1"),
    "flag": ("a.jsonl", json.dumps(GOOD | {"h": {NAME: 1}}), {**QA, "filter": {"h": "Zyx"}}, f"flags; choices: {NAME}"),
    "choice": ("a.jsonl", json.dumps(GOOD | {"right": 7046621}), CHOICE, "found 7046621"),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(CLEAR))
def test_texts_are_told_where_they_are_asked_for(tmp_path, case):
    name, content, fields, message = CLEAR[case]
    (tmp_path / name).write_text(content)
    with telling(True), pytest.raises(RequestError, match=message):
        load(Dataset("d", path=str(tmp_path / name), **fields), "forget")


@pytest.mark.parametrize(
    ("fields", "header"), [(QA, "question,answer"), (TEXT, "text"), (CHOICE, "question,choices,right")]
)
def test_a_csv_without_a_header_is_told_as_such(tmp_path, fields, header):
    (tmp_path / "a.csv").write_text(f'{NAME},"{ROW}"\nx,y\n')
    message = (
        f"row 1 of a.csv has no field '.*'; found: 2 cells of 16 and {len(ROW)} characters: the first line looks like "
        f"a row, not a header. Add a header line such as {header}. Set data.forget..*_field=COLUMN"
    )
    with pytest.raises(RequestError, match=message):
        load(Dataset("d", path=str(tmp_path / "a.csv"), **fields), "forget")
    (tmp_path / "a.csv").write_text(f'"{ROW}","{ROW}"\nx,y\n')
    with pytest.raises(
        RequestError, match="a.csv: the first line must name the columns, found 2 cells of .* looks like a row"
    ):
        load(Dataset("d", path=str(tmp_path / "a.csv"), **fields), "forget")


@pytest.mark.parametrize(
    ("cells", "row"),
    [
        (["question", "answer"], False),
        (["frage", "antwort"], False),
        (["First name", "Last name"], False),
        (["question", ROW], False),
        (["Who is she?", "x"], True),
        (["a@b.org", "x"], True),
        (["1970-05-03", "x"], True),
        (["0049 30 1234", "x"], True),
        (["lives in a house", "x"], True),
        (["w" * 61, "x"], True),
        (["", "x"], True),
    ],
)
def test_a_first_line_looks_like_a_row(cells, row):
    assert looks_like_row(cells) is row


def test_columns_are_told_by_name_where_the_name_is_known():
    assert columns(["question", NAME, "x"], {"x"}) == (
        "question, x, a column of another name (column 2 of 16 characters; evaluation.keep_text=true shows names)"
    )
    many = columns([f"{NAME} {number}" for number in range(30)])
    silent(many)
    assert many.startswith("30 columns of other names (column 1 of 18 characters, column 2")
    assert columns([f"c{n}" for n in range(20)], {f"c{n}" for n in range(20)}).endswith("c11, 8 more")
    assert columns([]) == "none"


def test_the_columns_of_published_sets_are_known():
    conf = Path(__file__).parents[3] / "conf" / "dataset"
    for file in conf.rglob("*.yaml"):
        described = yaml.safe_load(file.read_text())
        fields = [value for key, value in described.items() if key.endswith("_field") and value]
        names = {name.split(".")[0] for field in fields for name in ([field] if isinstance(field, str) else field)}
        assert names <= KNOWN, file
