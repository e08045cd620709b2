"""A name planted in data files, and whatever is said of them."""

from __future__ import annotations

import gzip
import json
import logging
import traceback
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from mollm_cli.core.discretion import reason, trace
from mollm_cli.core.errors import RequestError

NAME = "Zyxwv Personname"
ROW = f"{NAME} was born on the 3rd of May 1970 and lives at 12 Elm Street with two dogs."
QA = {"prompt_field": "question", "answer_field": "answer"}
TEXT = {"kind": "text", "text_field": ["text", "story"]}
CHAT = {"kind": "chat", "messages_field": "messages"}
CHOICE = {"kind": "choice", "prompt_field": "question", "choices_field": "choices", "answer_field": "right"}
GOOD = {"question": "q", "answer": "a", "text": "q a", "choices": ["q", "a"], "right": 0}


def chat(*turns: Any) -> dict[str, Any]:
    return {"messages": list(turns)}


def user(content: Any = "q") -> dict[str, Any]:
    return {"role": "user", "content": content}


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


def silent(said: str) -> None:
    for part in (NAME, *NAME.split(), "born on", "7046621", "Elm"):
        assert part not in said, said
