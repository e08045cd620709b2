"""Rows of every kind as examples, and what is said of rows of another shape."""

from __future__ import annotations

import copy

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.data.choice import listed, right_choice
from mollm_cli.data.dialogue import Dialogue, Turn, as_prompt
from mollm_cli.data.load_dataset import digest, load
from mollm_cli.data.shapes import drawn

TURNS = [
    {"role": "user", "content": "Who?"},
    {"role": "assistant", "content": "Ann."},
    {"role": "user", "content": "When?"},
    {"role": "assistant", "content": "In 1990."},
]


@pytest.fixture
def chat(qa, write):
    """The examples of these conversations."""

    def _chat(*rows, **changes):
        described = qa(
            path=write("a.jsonl", *rows), kind="chat", messages_field=["messages", "conversations"], **changes
        )
        return load(described, "forget").examples

    return _chat


@pytest.fixture
def choice(qa, write):
    """The examples of these questions with choices."""

    def _choice(*rows, **changes):
        fields = {"kind": "choice", "choices_field": "choices", **changes}
        return load(qa(path=write("a.jsonl", *rows), **fields), "forget").examples

    return _choice


def test_the_last_turn_of_the_assistant_is_the_answer(chat):
    [example] = chat({"messages": [*TURNS, {"role": "user", "content": "Thanks."}]})
    assert (example.id, example.answer) == ("d:1", "In 1990.")
    assert example.prompt == "user: Who?\n\nassistant: Ann.\n\nuser: When?"
    assert example.prompt.turns == (Turn("user", "Who?"), Turn("assistant", "Ann."), Turn("user", "When?"))


def test_a_single_turn_is_its_text_and_sharegpt_is_read(chat):
    [example] = chat({"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Ann."}]})
    assert example == Example("d:1", "Who?", "Ann.")
    assert type(example.prompt) is str


def test_a_system_prompt_is_put_where_there_is_none(chat, qa, write):
    own = [{"role": "system", "content": "Own."}, *TURNS[:2]]
    first, second = chat({"messages": TURNS[:2]}, {"messages": own}, system="Be brief.")
    assert first.prompt == "system: Be brief.\n\nuser: Who?"
    assert second.prompt.turns[0] == Turn("system", "Own.")
    path = write("q.jsonl", {"question": "Q", "answer": "a"})
    [asked] = load(qa(path=path, system="Be brief."), "forget").examples
    assert asked.prompt.turns == (Turn("system", "Be brief."), Turn("user", "Q"))


def test_a_dialogue_is_a_text_with_turns_and_stays_one_in_copies():
    prompt = as_prompt([Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c")])
    again = copy.deepcopy(prompt)
    assert isinstance(again, Dialogue)
    assert again == prompt == "user: a\n\nassistant: b\n\nuser: c"
    assert again.turns == prompt.turns
    assert digest([Example("i", prompt, "x")]) == digest([Example("j", str(prompt), "x")])


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ("text", "must hold in 'messages' a list of messages, found str"),
        ([], "a message of the assistant, found no message"),
        (["text"], "messages with role and content, found str as message 1"),
        (TURNS[:1], "a message of the assistant, found user"),
        (TURNS[1:2], "a message of the user before the assistant's last one, found none"),
        ([{"role": "narrator", "content": "x"}], "roles out of system, .*, found a text of 8 characters in message 1"),
        ([{"content": "x"}], "roles out of system, .*, found None in message 1"),
        ([TURNS[0], {"role": "assistant", "content": " "}], "text in every message, found it empty in message 2"),
        ([TURNS[0], {"role": "assistant", "content": 7}], "text in every message, found int in message 2"),
        ([TURNS[0], {"role": "system", "content": "x"}], "its system message first, found another message before it"),
        ([TURNS[0], {"role": "assistant", "content": "\ud800"}], "found half a character"),
        ([{"role": "user", "content": "\udfff"}, TURNS[1]], "found half a character"),
    ],
)
def test_a_conversation_of_another_shape_is_named(chat, messages, message):
    with pytest.raises(RequestError, match=rf"'d': row 2 of a.jsonl.*{message}"):
        chat({"messages": TURNS}, {"messages": messages})


def test_a_row_without_messages_is_named(chat):
    with pytest.raises(RequestError, match=r"row 1 of a.jsonl has no field 'messages or .*messages_field=message"):
        chat({"message": TURNS})


CHOICES = ["an owl", "a fox", "a bee"]


@pytest.mark.parametrize(
    "answer", [1, "1", "B", "b", "(B)", "B.", "a fox", " a fox ", [0, 1, 0], [0, 1, 1]], ids=lambda answer: repr(answer)
)
def test_the_right_choice_is_an_index_a_letter_a_text_or_a_flag(choice, answer):
    [example] = choice({"question": "Who flies?", "choices": CHOICES, "answer": answer})
    prompt = "Who flies?\nA. an owl\nB. a fox\nC. a bee"
    assert example == Example("d:1", prompt, "a fox", perturbed_answers=("an owl", "a bee"))


def test_choices_stand_in_columns_of_columns(choice):
    row = {"question": "Q", "targets": {"choices": ["a", "b"], "labels": [1, 0]}}
    [example] = choice(row, choices_field="targets.choices", answer_field="targets.labels")
    assert example == Example("d:1", "Q\nA. a\nB. b", "a", perturbed_answers=("b",))
    [lettered] = choice({"question": "Q", "choices": {"A": "x", "B": "y"}, "answer": "B"})
    assert lettered.answer == "y"


def test_a_choice_called_like_a_letter_is_itself():
    assert right_choice(["B", "A"], "A") == 1
    assert right_choice(["2", "1", "0"], "0") == 2
    assert listed("Q", ["x", "y"]) == "Q\nA. x\nB. y"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answer": 3}, "in 'answer' the index of one of the 3 choices .0 is the first., found int"),
        ({"answer": -1}, "the index of one of the 3 choices"),
        ({"answer": True}, "the index of one of the 3 choices .*found bool"),
        ({"answer": None}, "the index of one of the 3 choices .*found NoneType"),
        ({"answer": "D"}, "an index, a letter or the text of one of the 3 choices, found another text"),
        ({"answer": [0, 0, 0]}, "one flag per choice with a 1 among them, found 3 for 3 choices"),
        ({"answer": [1]}, "one flag per choice with a 1 among them, found 1 for 3 choices"),
        ({"choices": "x"}, "in 'choices' a list of texts, none of them empty"),
        ({"choices": ["x", 1]}, "a list of texts, none of them empty"),
        ({"choices": ["x", " "]}, "a list of texts, none of them empty"),
        ({"choices": ["x"]}, "2 to 26 choices, found 1"),
        ({"choices": ["\ud800", "x", "y"]}, "found half a character"),
    ],
)
def test_choices_of_another_shape_are_named(choice, changes, message):
    row = {"question": "Q", "choices": CHOICES, "answer": 0}
    with pytest.raises(RequestError, match=rf"'d': row 2 of a.jsonl.*{message}"):
        choice(row, row | changes)


def test_other_answers_stand_in_for_a_rows_own(qa, write, tmp_path):
    rows = [{"question": f"q{i}"} for i in range(40)]
    path = write("a.jsonl", *rows)
    examples = load(qa(path=path, answer_field=None, answers=["No.", "Never."]), "alternate").examples
    assert {example.answer for example in examples} == {"No.", "Never."}
    assert all(example.answer == drawn(example.prompt, ["No.", "Never."]) for example in examples)
    (tmp_path / "idk.jsonl").write_text("No.\n\n  Never. \n")  # plain lines, as TOFU's idontknow.jsonl
    again = load(qa(path=path, answers=str(tmp_path / "idk.jsonl")), "alternate").examples
    assert [example.answer for example in again] == [example.answer for example in examples]
    turned = load(qa(path=write("b.jsonl", *rows[::-1]), answers=["No.", "Never."]), "alternate").examples
    assert [example.answer for example in turned] == [example.answer for example in examples[::-1]]


def test_a_file_without_answers_is_refused(qa, write, tmp_path):
    (tmp_path / "none.txt").write_text("\n \n")
    described = qa(path=write("a.jsonl", {"question": "q"}), answers=str(tmp_path / "none.txt"))
    with pytest.raises(RequestError, match=r"data.alternate.answers=.*none.txt must hold an answer a line, found none"):
        load(described, "alternate")


def test_fields_reach_into_columns(qa, write):
    path = write("a.jsonl", {"meta": {"q": "Q"}, "answers": ["a", "b"]})
    [example] = load(qa(path=path, prompt_field=["question", "meta.q"], answer_field="answers.-1"), "forget").examples
    assert (example.prompt, example.answer) == ("Q", "b")


def test_half_a_character_is_refused(qa, write):
    path = write("a.jsonl", {"question": "q", "answer": "\ud83d"})
    with pytest.raises(
        RequestError, match=r"row 1 of a.jsonl, 'answer', must hold text, found half a character .*ud83d"
    ):
        load(qa(path=path), "forget")


def test_a_column_of_a_variant_may_be_absent(qa, write):
    old, new = {"question": "q", "r": "a"}, {"question": "p", "r": "b", "level": 2}
    variants = [{"answer": "r", "severity": "level?"}]
    [example] = load(
        qa(path=write("n.jsonl", new), variants=variants, filter={"severity": {"min": 2}}), "forget"
    ).examples
    assert (example.id, example.answer) == ("d:1.0", "b")
    assert load(qa(path=write("o.jsonl", old), variants=variants), "forget").examples[0].answer == "a"
    with pytest.raises(RequestError, match=r"row 1 of o.jsonl has no field 'severity', which data.forget.filter reads"):
        load(qa(path=write("o.jsonl", old), variants=variants, filter={"severity": {"min": 2}}), "forget")


def test_filters_read_flags_and_columns_of_columns(qa, write):
    rows = [
        {"question": f"q{i}", "answer": "a", "meta": {"harm": {"Privacy": i == 1, "Fraud": i == 2}}} for i in range(3)
    ]
    path = write("a.jsonl", *rows)

    def kept(rule):
        return [e.prompt for e in load(qa(path=path, filter={"meta.harm": rule}), "forget").examples]

    assert kept("Privacy") == ["q1"]
    assert kept(["Privacy", "Fraud"]) == ["q1", "q2"]
    assert kept({"except": ["Privacy", "Fraud"]}) == ["q0"]
    with pytest.raises(RequestError, match=r"row 1 of a.jsonl, .*'Privcy' is none of its 2 flags; name one of them"):
        kept("Privcy")
