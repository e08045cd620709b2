"""Columns and keys of messages that training sets have: each is read, or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from mollm_cli.core.errors import RequestError
from mollm_cli.data.dialogue import Turn, turns_of
from mollm_cli.data.encoding import encode_all
from mollm_cli.data.load_dataset import load
from mollm_cli.data.wordless import wordless
from tests.unit.data.conftest import CHAT
from tests.unit.data.test_chat import targets

CONF = Path(__file__).parents[3] / "conf" / "dataset"
PAIR = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ann."}]
CALL = {"type": "function", "function": {"name": "tide", "arguments": "{}"}}


@pytest.fixture
def read(write):
    """Rows under a shipped description of a user's file."""

    def _read(rows: list[Any], dataset: str = "qa-file", *changes: str) -> Any:
        path = write("a.jsonl", *rows)
        with initialize_config_dir(str(CONF), version_base=None):
            described = instantiate(compose(dataset, [f"path={path}", *changes]))
        return load(described, "forget")

    return _read


def spoken(loaded: Any) -> list[tuple[list[tuple[str, str]], str]]:
    return [([(t.role, t.content) for t in turns_of(e.prompt)], e.answer) for e in loaded.examples]


U, A, S = "user", "assistant", "system"
READ: dict[str, tuple[dict[str, Any], list[tuple[str, str]], str]] = {
    "Alpaca": ({"instruction": "Say it.", "input": "snow", "output": "White."}, [(U, "Say it.\nsnow")], "White."),
    "no input": ({"instruction": "Name a pet.", "input": " ", "output": "A cat."}, [(U, "Name a pet.")], "A cat."),
    "headings": ({" Instruction": "I", "INPUT ": "x", "Output": "O"}, [(U, "I\nx")], "O"),
    "system": ({"instruction": "I", "output": "O", "system": "S"}, [(S, "S"), (U, "I")], "O"),
    "OpenOrca": ({"system_prompt": "S", "question": "Q", "response": "R"}, [(S, "S"), (U, "Q")], "R"),
    "history": ({"instruction": "I", "output": "O", "history": [["a", "b"]]}, [(U, "a"), (A, "b"), (U, "I")], "O"),
    "ms-swift": ({"query": "I", "response": "O", "history": [["a", "b"]]}, [(U, "a"), (A, "b"), (U, "I")], "O"),
    "one answer": ({"question": "Q", "answers": ["A"]}, [(U, "Q")], "A"),
    "text again": ({"instruction": "I", "input": "x", "output": "O", "text": "## I\n## x ## O"}, [(U, "I\nx")], "O"),
    "TRL": ({"prompt": PAIR[:1], "completion": PAIR[1:]}, [(U, "Who?")], "Ann."),
    "TRL, 3": ({"prompt": PAIR[:1], "completion": [PAIR[1], *PAIR]}, [(U, "Who?"), (A, "Ann."), (U, "Who?")], "Ann."),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_columns_with_a_meaning_are_read(read, case):
    row, turns, answer = READ[case]
    assert spoken(read([row])) == [(turns, answer)]


def test_chosen_and_rejected_may_be_whole_conversations(read):
    row = {"prompt": "Who?", "chosen": PAIR, "rejected": [PAIR[0], {"role": "assistant", "content": "Bah."}]}
    assert spoken(read([row], "preference-file")) == [([(U, "Who?")], "Bah.")]
    del row["prompt"]
    assert spoken(read([row], "preference-file")) == [([(U, "Who?")], "Bah.")]
    openai = {"input": {"messages": PAIR[:1]}, "preferred_output": PAIR[1:]}
    fields = ("prompt_field=input.messages", "answer_field=preferred_output")
    assert spoken(read([openai], "preference-file", *fields)) == [([(U, "Who?")], "Ann.")]


QA = {"question": "Q", "answer": "A"}
UNREAD: dict[str, tuple[dict[str, Any], str, str, list[str]]] = {
    "context": (QA | {"context": "C"}, "qa-file", "data.forget.input_field=context", ["input_field=context"]),
    "Context": (QA | {" Context": "C"}, "qa-file", "data.forget.input_field=context", ["input_field=[input,context]"]),
    "nothing else known": (
        {"frage": "Q", "antwort": "A", "context": "C"},
        "qa-file",
        "data.forget.input_field=context",
        ["unread=[context]"],
    ),
    "label": (QA | {"label": False}, "qa-file", r"\+data.forget.filter.label=VALUE", ["+filter={label: false}"]),
    "choices": (QA | {"choices": ["x", "y"]}, "qa-file", "dataset@data.forget=choice-file", ["unread=[choices]"]),
    "another text": (QA | {"text": "T"}, "qa-file", "dataset@data.forget=text-file", ["unread=[text]"]),
    "another answer": (QA | {"response": "R"}, "qa-file", "data.forget.answer_field=response", ["unread=[response]"]),
    "tools": (QA | {"tools": [{"name": "t"}]}, "qa-file", r"Set data.forget.unread=\[tools\]", ["unread=[tools]"]),
    "reasoning": (QA | {"reasoning": "R"}, "qa-file", "data.forget.reasoning=", ["reasoning='{reasoning} '"]),
    "text and label": ({"text": "T", "label": 1}, "text-file", r"\+data.forget.filter.label", ["+filter={label: 1}"]),
    "chat and tools": ({"messages": PAIR, "functions": [{"x": "t"}]}, "chat-file", "unread=", ["unread=[functions]"]),
    "chat and more": ({"messages": PAIR, "history": [["a", "b"]]}, "chat-file", "unread=", ["unread=[history]"]),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREAD)
def test_a_known_column_that_nothing_reads_is_refused_until_somebody_says_what_it_is(read, case):
    row, dataset, remedy, changes = UNREAD[case]
    named = [] if "frage" not in row else ["prompt_field=frage", "answer_field=antwort"]
    with pytest.raises(RequestError, match=rf"row 1 of a.jsonl must have no unread column .*{remedy}"):
        read([row], dataset, *named)
    assert read([row], dataset, *named, *changes).examples


@pytest.mark.parametrize("value", [None, "", " ", [], {}, "[]", [None, ""]])
def test_a_known_column_that_is_empty_is_no_loss(read, value):
    assert read([QA | {"context": value, "history": [], "tools": value}]).examples


@pytest.mark.parametrize("extra", [{"id": 3}, {"category": "c"}, {"source": "s"}, {"my_note": "n"}])
def test_other_columns_are_let_be(read, extra):
    assert read([QA | extra]).examples


@pytest.mark.parametrize(
    ("row", "remedy"),
    [
        ({"question": "Q", "answers": ["a", "b"]}, "one text in 'answers', found 2 values in it. Set .*=answers.0 for"),
        ({"question": "Q", "answers": {"text": ["a"], "answer_start": [1]}}, "Set .*.answer_field=answers.text.0"),
        ({"question": "Q", "answer": "A", "history": [["a"]]}, "in 'history' pairs of two texts"),
        ({"question": "Q", "answer": "A", "history": "x"}, "in 'history' a list of earlier turns, found str"),
        ({"prompt": PAIR[:1], "completion": PAIR[:1]}, "in 'completion' a message of the assistant, found user"),
    ],
)  # fmt: skip
def test_values_of_another_shape_are_told_with_what_helps(read, row, remedy):
    with pytest.raises(RequestError, match=rf"row 1 of a.jsonl must hold .*{remedy}"):
        read([row])


@pytest.mark.parametrize(
    ("row", "dataset", "right"),
    [
        ({"messages": PAIR}, "qa-file", "chat-file"),
        ({"prompt": "Who?", "messages": PAIR}, "qa-file", "chat-file"),
        ({"Conversations": PAIR}, "text-file", "chat-file"),
        ({"question": "Q", "choices": ["x", "y"], "answerKey": "A"}, "qa-file", "choice-file"),
        ({"text": "T"}, "qa-file", "text-file"),
        ({"prompt": "Q", "completion": "A"}, "chat-file", "qa-file"),
        ({"instruction": "Q", "output": "A"}, "text-file", "qa-file"),
    ],
)
def test_a_file_of_another_kind_is_told_as_one(read, row, dataset, right):
    with pytest.raises(RequestError, match=f"row 1 of a.jsonl has no field .* Set dataset@data.forget={right}$"):
        read([row], dataset)


def chat(*messages: dict[str, Any], **columns: Any) -> dict[str, Any]:
    return {"messages": list(messages), **columns}


def said(content: Any, role: str = "assistant", **keys: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **keys}


ASK = said("Count.", "user")


@pytest.mark.parametrize(
    ("off", "shown"),
    [
        ({"weight": 0}, "one two<|end|>"),
        ({"weight": 0.0}, "one two<|end|>"),
        ({"loss": False}, "one two<|end|>"),
        ({"train": False}, "one two<|end|>"),
        ({"training": False}, "one two<|end|>"),
        ({"weight": 1}, "one three<|end|>one two<|end|>"),
        ({}, "one three<|end|>one two<|end|>"),
    ],
)
def test_a_message_of_weight_0_is_no_target(read, tokenizer, off, shown):
    t = tokenizer(chat=CHAT, eos_token="</s>")
    row = chat(ASK, said("one three", **off), said("Again.", "user"), said("one two", weight=1))
    [encoded] = encode_all(read([row], "chat-file", "turns=every"), "forget", t)
    assert targets(t, encoded) == shown
    [last] = encode_all(read([chat(*row["messages"], ASK, said("x", weight=0))], "chat-file"), "forget", t)
    assert targets(t, last) == "one two<|end|>"


def test_weights_are_part_of_what_the_rows_are(read):
    with_weight, without = (chat(ASK, said("a", weight=w), ASK, said("b")) for w in (0, 1))
    assert read([with_weight], "chat-file").fingerprint["sha256"] != read([without], "chat-file").fingerprint["sha256"]
    [plain] = [chat(ASK, said("a"), ASK, said("b"))]
    assert read([plain], "chat-file").fingerprint["sha256"] == read([without], "chat-file").fingerprint["sha256"]


def parts(*texts: Any) -> list[Any]:
    return [{"type": "text", "text": text} for text in texts]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (parts("Nan."), "Nan."),
        (parts("Nan", "Orly."), "Nan\nOrly."),
        ([{"type": "output_text", "text": "Nan."}], "Nan."),
        (["Nan."], "Nan."),
        ([{"text": "Nan."}], "Nan."),
    ],
)
def test_parts_of_text_are_joined(read, content, text):
    assert spoken(read([chat(said(parts("Who?"), "user"), said(content))], "chat-file")) == [([(U, "Who?")], text)]


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        (said([{"type": "image_url", "image_url": "x"}]), "parts of text alone .*type image_url in message 2"),
        (said([{"type": "secret", "text": "x"}]), "parts of text alone .*one of another type in message 2"),
        (said(parts(" ")), "text in every message, found it empty in message 2"),
        (said(None), "text in every message, found NoneType in message 2"),
        (said("a", weight=0.5), "a weight of 0 or 1, found another value in message 2"),
        (said("a", weight=0), "a message of the assistant with text and of a weight above 0, found none among its 1"),
        (said(None, tool_calls=[CALL]), "a message of the assistant with text and of a weight above 0, found none"),
    ],
)  # fmt: skip
def test_messages_of_another_shape_are_told(read, message, remedy):
    with pytest.raises(RequestError, match=rf"row 1 of a.jsonl must hold in 'messages' {remedy}"):
        read([chat(ASK, message)], "chat-file")


TOOLS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% for c in m.tool_calls or [] %}({{ c.function.name }}){% endfor %}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"  # fmt: skip  # noqa: E501


@pytest.mark.parametrize(
    "call",
    [
        said(None, tool_calls=[CALL]),
        said("", tool_calls=[CALL]),
        said(None, function_call=CALL["function"]),
        {"from": "function_call", "value": '{"name": "tide", "arguments": {}}'},
    ],
)
def test_a_turn_that_only_calls_tools_is_given_and_no_target(read, tokenizer, call):
    t = tokenizer(chat=TOOLS, eos_token="</s>")
    loaded = read([chat(ASK, call, said("low", "tool"), said("It is low."))], "chat-file", "turns=every")
    assert turns_of(loaded.examples[0].prompt)[2] == Turn("tool", "low")
    [encoded] = encode_all(loaded, "forget", t)
    assert targets(t, encoded) == "It is low.<|end|>"
    assert "<|assistant|>(tide)<|end|>" in t.decode(encoded.input_ids)
    [told] = wordless({"forget": loaded})
    assert told.startswith(
        "data.forget: 1 turns of the assistant in 1 rows have no text (tool calls) and are no targets"
    )
    assert not list(wordless({"forget": read([chat(*PAIR)], "chat-file")}))


def test_rows_that_differ_in_a_tool_call_alone_are_different_rows(read):
    other = {"type": "function", "function": {"name": "wind", "arguments": "{}"}}
    rows = [chat(ASK, said(None, tool_calls=[call]), said("low", "tool"), said("Low.")) for call in (CALL, other)]
    first, second = read(rows, "chat-file").examples
    assert first.prompt != second.prompt


def test_sharegpt_with_a_system_prompt(read):
    row = {"system": "S", "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}
    assert spoken(read([row], "chat-file")) == [([(S, "S"), (U, "Q")], "A")]
    same = {"system": "S", "messages": [said("S", "system"), *PAIR]}
    assert spoken(read([same], "chat-file")) == [([(S, "S"), (U, "Who?")], "Ann.")]
    with pytest.raises(RequestError, match="must hold in 'system' the system prompt of its messages, found another"):
        read([same | {"system": "T"}], "chat-file")


def test_reasoning_is_written_as_somebody_says_or_left_out(read):
    row = chat(ASK, said("Two.", reasoning_content="One, two."))
    with pytest.raises(RequestError, match=r"found reasoning_content in message 2 of .*data.forget.reasoning="):
        read([row], "chat-file")
    [written] = read([row], "chat-file", "reasoning='<think>{reasoning}</think>'").examples
    [left] = read([row], "chat-file", "unread=[reasoning_content]").examples
    assert (written.answer, left.answer) == ("<think>One, two.</think>Two.", "Two.")
    qa = QA | {"Reasoning": "R"}
    assert read([qa], "qa-file", "reasoning='{reasoning}: '").examples[0].answer == "R: A"
    with pytest.raises(RequestError, match=r"found refusal in message 2 .*data.forget.unread=\[refusal\]"):
        read([chat(ASK, said("a", refusal="no"))], "chat-file")


def test_earlier_turns_of_a_history_can_be_targets(read, tokenizer):
    t = tokenizer(chat=CHAT, eos_token="</s>")
    loaded = read([QA | {"history": [["a", "b"]]}], "qa-file", "turns=every")
    assert targets(t, encode_all(loaded, "forget", t)[0]) == "b<|end|>A<|end|>"


def test_odd_values_are_refused_and_end_nothing(read):
    deep: Any = "x"
    for _ in range(300):
        deep = [deep]
    with pytest.raises(RequestError, match="found the column 'context'"):
        read([QA | {"context": deep}])
    half = said("a", tool_calls=[{"type": "function", "function": {"name": "\ud800"}}])
    with pytest.raises(RequestError, match="found half a character"):
        read([chat(ASK, half, said("b"))], "chat-file")
