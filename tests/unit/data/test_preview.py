from __future__ import annotations

import pytest

from mollm_cli.data.load import load
from mollm_cli.data.preview import Shown, preview, printable


@pytest.fixture
def loaded(qa, write):
    rows = [{"question": f"Q{i}", "answer": "Pa\x1b[31m"} for i in range(5)]
    return lambda content: load(qa(path=write("a.jsonl", *rows), content=content), "forget")


def test_three_rows_are_shown_with_their_targets_apart(loaded, tokenizer):
    shown = preview(loaded("ordinary"), "forget", tokenizer(eos_token="</s>"))
    assert shown[0] == Shown("d:1", "Question: Q0\nAnswer:", " Pa</s>", 29, 9)
    assert [row.id for row in shown] == ["d:1", "d:2", "d:3"]


@pytest.mark.parametrize("content", ["harmful", "personal"])
def test_text_that_is_not_ordinary_is_withheld_until_it_is_asked_for(loaded, tokenizer, content):
    t = tokenizer(eos_token="</s>")
    [row] = preview(loaded(content), "forget", t, rows=1)
    assert row.prompt_text == f"[{content} text withheld: 20 tokens; evaluation.keep_text=true shows it]"
    assert row.target_text == f"[{content} text withheld: 9 tokens; evaluation.keep_text=true shows it]"
    assert (row.tokens, row.targets) == (29, 9)
    assert preview(loaded(content), "forget", t, rows=1, show_text=True)[0].target_text == " Pa</s>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[1;31mb\x1b[0m", "ab"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;http://x\x1b\\b", "ab"),
        ("a\x1bMb\x07\x00\x9b", "ab"),
        ("a\u202eb\u200bc", "abc"),
        ("a\n\tb\r", "a\n\tb"),
        ("é 你好", "é 你好"),
    ],
)
def test_nothing_that_moves_a_terminal_is_printable(text, expected):
    assert printable(text) == expected
