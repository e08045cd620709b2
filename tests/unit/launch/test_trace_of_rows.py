"""How a run ends that fails on a row in a way that nobody expected: without the row."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.data.dataset import Dataset
from mollm_cli.data.load_dataset import load
from mollm_cli.launch.session import session

NAME = "Zyxwv Personname"


@pytest.mark.parametrize("keep_text", ["auto", True, False])
def test_a_run_that_fails_on_a_row_does_not_quote_it(tmp_path, capsys, monkeypatch, keep_text):
    def fail(_: object, row: Any, *__: object) -> None:
        raise KeyError(row.values["question"])

    def body(*_: object) -> None:
        load(Dataset("d", path=str(path), prompt_field="question", answer_field="answer"), "forget")

    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"question": NAME, "answer": "a"}))
    monkeypatch.setattr("mollm_cli.data.reading.to_example", fail)
    suite = SimpleNamespace(keep_text=keep_text)
    asked: Any = SimpleNamespace(
        names={}, loss=None, run_name="mine", seed=4, junit=None, github_summary=None, evaluation=suite, resume=None
    )
    assert session(asked, tmp_path / "run", {}, "unlearn", body) == 1
    said = capsys.readouterr().err + Path(tmp_path, "run", "manifest.json").read_text()
    assert (NAME in said) is (keep_text is True)
    assert "KeyError" in said
    assert "reading.py" in said
