"""Explanations of other programs, and of errors that nobody expected, quote no row unless texts are asked for."""

from __future__ import annotations

import json
import logging

import pyarrow
import pyarrow.parquet
import pytest

from mollm_cli.core.discretion import reason, telling, trace
from mollm_cli.core.errors import RequestError
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.encoding import encode_all
from mollm_cli.data.load_dataset import load
from tests.support.planted import (
    CHAT,
    CHOICE,
    GOOD,
    NAME,
    QA,
    ROW,
    as_lines,
    as_parquet,
    chat,
    silent,
)
from tests.unit.data.conftest import build


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

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
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
