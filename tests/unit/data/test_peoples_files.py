"""Files as people have them, which no published set is: each is read as it was meant, or told what to do about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.dialogue import turns_of
from mollm_cli.data.load_dataset import load

QA: dict[str, Any] = {
    "prompt_field": ["prompt", "question", "instruction"],
    "answer_field": ["answer", "response", "output"],
    "input_field": ["input"],
}
CHAT: dict[str, Any] = {"kind": "chat", "messages_field": ["messages", "conversations"]}
TALK = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Anna."}]


def rows(tmp_path, name: str, content: str, **description: Any) -> list[tuple[str, str]]:
    """(what was asked last, the answer) of each row of a file."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    loaded = load(Dataset("d", path=str(tmp_path / name), **description), "forget")
    return [(turns_of(e.prompt)[-1].content if e.prompt else "", e.answer) for e in loaded.examples]


@pytest.mark.parametrize("said", [("Human", "AI"), ("USER ", " ASSISTANT"), ("user", "Bot")])
def test_speakers_in_other_spellings_are_known(tmp_path, said):
    spoken = [{"from": who, "value": text} for who, text in zip(said, ("Who?", "Anna."), strict=True)]
    assert rows(tmp_path, "a.json", json.dumps([{"conversations": spoken}]), **CHAT) == [("Who?", "Anna.")]


def test_messages_as_a_text_of_json_are_read_as_spreadsheets_have_them(tmp_path):
    cell = json.dumps(TALK).replace('"', '""')
    assert rows(tmp_path, "a.csv", f'messages\n"{cell}"\n', **CHAT) == [("Who?", "Anna.")]
    with pytest.raises(RequestError, match="a list of messages, found str"):
        rows(tmp_path, "a.csv", "messages\nWho?\n", **CHAT)


def test_a_tsv_of_one_column_is_not_cut_at_commas(tmp_path):
    text = {"kind": "text", "text_field": "text"}
    assert rows(tmp_path, "a.tsv", "text\nAnna, who wrote; here\n", **text) == [("", "Anna, who wrote; here")]


@pytest.mark.parametrize("nothing", ["", "  ", None, "<noinput>", "<No input>"])
def test_an_input_that_says_there_is_none_adds_nothing(tmp_path, nothing):
    row = {"instruction": "Who?", "input": nothing, "output": "Anna."}
    assert rows(tmp_path, "a.json", json.dumps([row]), **QA) == [("Who?", "Anna.")]


TOLD = {
    "columns alike but for case": (
        "a.csv", "question,answer,Answer\nWho?,Anna.,Berta.\n", "the columns 2 and 3 called alike",
    ),
    "objects over several lines": ("a.json", json.dumps({"question": "Who?"}, indent=1), "in one line .jq -c . FILE"),
    "a table by columns": (
        "a.json", json.dumps({"question": ["Who?", "What?"], "answer": ["Anna.", "A book."]}), "orient='records'",
    ),
    "a table by columns, as pandas writes it": (
        "a.json", json.dumps({"question": {"0": "Who?", "1": "What?"}, "answer": {"0": "A.", "1": "B."}}),
        "the file is one of columns",
    ),
    "rows below a key": (
        "a.json", json.dumps({"version": 1, "row": [{"question": "Who?", "answer": "Anna."}]}),
        r"jq -c '.row\[\]' FILE",
    ),
    "a row below a key": (
        "a.json", json.dumps({"id": 1, "row": {"question": "Who?"}}), r"Set data.forget.prompt_field=row.question$",
    ),
    "a conversation that is chosen": (
        "a.json", json.dumps({"chosen": TALK, "rejected": TALK}), r"Set data.forget.answer_field=chosen$",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD)
def test_the_remedy_is_the_right_one(tmp_path, case):
    name, content, message = TOLD[case]
    with pytest.raises(RequestError, match=message):
        rows(tmp_path, name, content, **QA)
