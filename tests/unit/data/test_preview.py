from __future__ import annotations

from typing import Any

import pytest

from mollm_cli.data.load_dataset import load
from mollm_cli.data.preview import MASK, Part, Shown, preview
from tests.unit.data.conftest import CHAT

WORDS = "Krongel 7a Zwirbel\nQuestion Answer <|end|> ä灯塔"
"""A text with words of the templates in it, and with what the placeholders are made of."""


@pytest.fixture
def loaded(qa, write):
    rows = [{"question": f"Q{i}", "answer": "Pa\x1b[31m"} for i in range(5)]
    return lambda content: load(qa(path=write("a.jsonl", *rows), content=content), "forget")


def test_three_rows_are_shown_with_their_targets_apart(loaded, tokenizer):
    shown = preview(loaded("ordinary"), "forget", tokenizer(eos_token="</s>"))
    parts = (Part("Question: Q0\nAnswer:", False), Part(r" Pa\x1b[31m</s>", True))
    assert shown[0] == Shown("d:1", parts, 29, 9)
    assert [row.id for row in shown] == ["d:1", "d:2", "d:3"]
    [masked] = preview(loaded("ordinary"), "forget", tokenizer(eos_token="</s>"), rows=1, keep_text=False)
    assert masked.parts[1] == Part(f" {MASK * 7}</s>", True)


@pytest.mark.parametrize("content", ["harmful", "personal"])
def test_of_other_text_there_is_a_block_a_token_within_the_template(loaded, tokenizer, content):
    t = tokenizer(eos_token="</s>")
    [row] = preview(loaded(content), "forget", t, rows=1)
    assert row.parts == (Part(f"Question: {MASK * 2}\nAnswer:", False), Part(f" {MASK * 7}</s>", True))
    assert (row.tokens, row.targets) == (29, 9)
    assert preview(loaded(content), "forget", t, rows=1, keep_text=True)[0].parts[1].text == r" Pa\x1b[31m</s>"


def _masked(row: Shown) -> str:
    return "".join(part.text for part in row.parts)


@pytest.mark.parametrize(
    ("fields", "rows", "skeleton"),
    [
        ({}, {"question": WORDS, "answer": WORDS}, "<|user|><|end|>\n<|assistant|><|end|>"),
        ({"template": "{prompt} means "}, {"question": WORDS, "answer": WORDS}, " means </s>"),
        ({"template": "none"}, {"question": WORDS, "answer": WORDS}, "</s>"),
        ({"system": WORDS}, {"question": WORDS, "answer": WORDS}, "<|system|><|end|>\n<|user|><|end|>\n<|assistant|>"),
        (
            {"kind": "text", "prompt_field": None, "answer_field": None, "text_field": "text", "windows": True},
            {"text": WORDS},
            "",
        ),
    ],
    ids=["chat", "template", "none", "system", "windows"],
)
def test_nothing_of_a_row_is_shown_but_its_length(
    fields: dict[str, Any], rows: dict[str, str], skeleton: str, qa: Any, write: Any, tokenizer: Any
) -> None:
    t = tokenizer(chat=CHAT, eos_token="</s>")
    given = load(qa(path=write("a.jsonl", rows), content="personal", **fields), "forget")
    [row, *_] = preview(given, "forget", t, rows=1)
    shown = _masked(row)
    assert shown.replace(MASK, "").startswith(skeleton)
    assert not set("KrongelZwirbel7") & set(shown.replace(MASK, "")) - set(skeleton)
    whole = "".join(part.text for part in preview(given, "forget", t, rows=1, keep_text=True)[0].parts)
    assert "Krongel" in whole
    plain = t(shown.replace(MASK, ""), add_special_tokens=False)["input_ids"]
    assert shown.count(MASK) + len(plain) == row.tokens


def test_every_target_turn_is_marked_in_its_place(write: Any, tokenizer: Any, qa: Any) -> None:
    turns = [("user", "Hm?"), ("assistant", "Krongel."), ("user", "So?"), ("assistant", "Zwirbel.")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    chat = {"kind": "chat", "prompt_field": None, "answer_field": None, "messages_field": "messages", "turns": "every"}
    given = load(qa(path=write("a.jsonl", row), content="personal", **chat), "forget")
    [shown] = preview(given, "forget", tokenizer(chat=CHAT, eos_token="</s>"), rows=1)
    assert [part for part in shown.parts if part.target] == [
        Part(f"{MASK * 8}<|end|>", True),
        Part(f"{MASK * 8}<|end|>", True),
    ]
    assert shown.parts[0] == Part(f"<|user|>{MASK * 3}<|end|>\n<|assistant|>", False)
