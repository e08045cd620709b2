"""A name planted in every place of a data file, whatever is wrong with the file, stands in no message."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from mollm_cli.data.dataset import Dataset
from mollm_cli.data.deletion import divide, report
from mollm_cli.data.load_dataset import load
from mollm_cli.data.pairing import Pairing, load_roles
from tests.support.planted import (
    CHAT,
    CHOICE,
    FORMS,
    GOOD,
    NAME,
    QA,
    ROW,
    TEXT,
    as_lines,
    chat,
    silent,
    user,
)

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
    "list": ({"question": [NAME, NAME], "answer": "a"}, QA),
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


@pytest.mark.parametrize("case", sorted(ROWS))
def test_a_row_that_is_wrong_is_not_quoted(heard, tmp_path, case):
    for form in FORMS.values():
        row, fields = ROWS[case]
        path = form(tmp_path, row)
        said = heard(partial(load, Dataset("d", path=str(path), **fields), "forget"))
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


@pytest.mark.parametrize("case", sorted(CSV))
def test_a_csv_that_is_wrong_is_not_quoted(heard, tmp_path, case):
    (tmp_path / "a.csv").write_text(CSV[case])
    for fields in (QA, TEXT, CHOICE, {**QA, "filter": {"topic": "x"}}):
        dataset = Dataset("d", path=str(tmp_path / "a.csv"), **fields)
        silent(heard(partial(load, dataset, "forget")))
        by_id = Dataset("d", path=dataset.path, ids=["1"], **fields)
        silent(heard(partial(divide, by_id, None, None, None, False)))


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
