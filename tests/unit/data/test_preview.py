from __future__ import annotations

import pytest

from mollm_cli.data.load_dataset import load
from mollm_cli.data.preview import Shown, preview


@pytest.fixture
def loaded(qa, write):
    rows = [{"question": f"Q{i}", "answer": "Pa\x1b[31m"} for i in range(5)]
    return lambda content: load(qa(path=write("a.jsonl", *rows), content=content), "forget")


def test_three_rows_are_shown_with_their_targets_apart(loaded, tokenizer):
    shown = preview(loaded("ordinary"), "forget", tokenizer(eos_token="</s>"))
    assert shown[0] == Shown("d:1", "Question: Q0\nAnswer:", r" Pa\x1b[31m</s>", 29, 9)
    assert [row.id for row in shown] == ["d:1", "d:2", "d:3"]
    [withheld] = preview(loaded("ordinary"), "forget", tokenizer(eos_token="</s>"), rows=1, keep_text=False)
    assert withheld.target_text.startswith("[ordinary text withheld: 9 tokens")


@pytest.mark.parametrize("content", ["harmful", "personal"])
def test_text_that_is_not_ordinary_is_withheld_until_it_is_asked_for(loaded, tokenizer, content):
    t = tokenizer(eos_token="</s>")
    [row] = preview(loaded(content), "forget", t, rows=1)
    assert row.prompt_text == f"[{content} text withheld: 20 tokens; evaluation.keep_text=true shows it]"
    assert row.target_text == f"[{content} text withheld: 9 tokens; evaluation.keep_text=true shows it]"
    assert (row.tokens, row.targets) == (29, 9)
    assert preview(loaded(content), "forget", t, rows=1, keep_text=True)[0].target_text == r" Pa\x1b[31m</s>"
