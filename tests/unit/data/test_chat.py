"""Conversations under chat templates, and without one."""

from __future__ import annotations

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import IGNORE, Example
from mollm_cli.data.dialogue import Turn, as_prompt
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.encoding import encode_all
from mollm_cli.data.load_dataset import load
from mollm_cli.data.preview import preview

END = "</s>"
CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
FORGETS = (
    "{% for m in messages %}{% if loop.last or m.role == 'user' %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endif %}"
)
FORGETS += "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
STRICT = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHAT
TURNS = [Turn("user", "Q1"), Turn("assistant", "A1"), Turn("user", "Q2")]


def targets(tokenizer, encoded):
    return tokenizer.decode([label for label in encoded.labels if label != IGNORE])


@pytest.fixture
def chats(qa, write):
    """The examples of one conversation of two turns each."""
    messages = [turn._asdict() for turn in [*TURNS, Turn("assistant", "A2")]]
    path = write("a.jsonl", {"messages": messages})
    return lambda **changes: load(qa(path=path, kind="chat", messages_field="messages", **changes), "forget")


def test_the_template_writes_all_turns_and_the_last_is_the_target(chats, tokenizer):
    t = tokenizer(chat=CHAT, eos_token=END)
    [row] = encode_all(chats(system="S"), "forget", t)
    given = "<|system|>S<|end|>\n<|user|>Q1<|end|>\n<|assistant|>A1<|end|>\n<|user|>Q2<|end|>\n<|assistant|>"
    assert t.decode(row.input_ids) == given + "A2<|end|>"
    assert targets(t, row) == "A2<|end|>"


def test_every_turn_can_be_a_target(chats, tokenizer):
    t = tokenizer(chat=CHAT, eos_token=END)
    [last], [every] = (encode_all(chats(turns=turns), "forget", t) for turns in ("last", "every"))
    assert every.input_ids == last.input_ids
    assert targets(t, every) == "A1<|end|>A2<|end|>"
    shown = preview(chats(turns="every"), "forget", t)[0].parts
    assert [part.text for part in shown if part.target] == ["A1<|end|>", "A2<|end|>"]


def test_what_is_cut_of_an_earlier_turn_is_no_target(chats, tokenizer):
    t = tokenizer(chat=CHAT, eos_token=END)
    loaded = chats(turns="every", max_tokens=17)
    assert targets(t, encode_all(loaded, "forget", t)[0]) == "A1<|end|>A"


def test_a_single_turn_is_not_searched_for_others(qa, write, tokenizer):
    messages = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    described = qa(path=write("a.jsonl", {"m": messages}), kind="chat", messages_field="m", turns="every")
    t = tokenizer(chat=CHAT, eos_token=END)
    assert targets(t, encode_all(load(described, "forget"), "forget", t)[0]) == "A<|end|>"


@pytest.mark.parametrize("chat", [FORGETS, None])
def test_turns_that_are_written_otherwise_are_refused(chats, tokenizer, chat):
    t = tokenizer(chat=chat, eos_token=END)
    message = (
        r"data.forget.turns=every needs a chat template .* message 2 of row 'd:1' written otherwise. Set .*turns=last"
    )
    with pytest.raises(RequestError, match=message):
        encode_all(chats(turns="every"), "forget", t)


def test_a_template_that_refuses_is_named_with_the_row(chats, tokenizer):
    t = tokenizer(chat=STRICT, eos_token=END)
    message = r"data.forget: row 'd:1': .*must take the turns system, user, .*System role not supported.*system=null"
    with pytest.raises(RequestError, match=message):
        encode_all(chats(system="S"), "forget", t)
    assert encode_all(chats(), "forget", t)


def test_a_template_that_changes_the_answer_is_refused(chats, tokenizer):
    t = tokenizer(chat=CHAT.replace("| trim", "| upper | replace('A2', 'no')"), eos_token=END)
    with pytest.raises(RequestError, match=r"row 'd:1': .*chat template must write the answer as it is"):
        encode_all(chats(), "forget", t)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("auto", "S\n\nQuestion: Q1\nAnswer: A1\n\nQuestion: Q2\nAnswer:"),
        ("[{prompt}]", "S\n\n[Q1]A1\n\n[Q2]"),
        ("none", "S\n\nQ1A1\n\nQ2"),
    ],
)
def test_turns_without_a_chat_template(tokenizer, template, text):
    t = tokenizer(eos_token=END)
    encoder = Encoder(t)
    assert t.decode(encoder.prompt_ids(as_prompt(TURNS, "S"), template)) == text
    encoded = encoder.encode(Example("d:1", as_prompt(TURNS, "S"), "A2"), template, 200)
    assert targets(t, encoded).strip() == "A2</s>"


def test_two_users_turns_in_a_row_are_apart(tokenizer):
    t = tokenizer(eos_token=END)
    prompt = as_prompt([Turn("user", "Q1"), Turn("user", "Q2")])
    assert t.decode(Encoder(t).prompt_ids(prompt, "[{prompt}]")) == "[Q1]\n\n[Q2]"
