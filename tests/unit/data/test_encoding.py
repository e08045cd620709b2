from __future__ import annotations

import dataclasses

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import IGNORE, Example
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.encoding import encode_all
from mollm_cli.data.load_dataset import load

END, START, PAD = "</s>", "<s>", "<pad>"
CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ROW = Example("d:1", "Q", "Pa")


def tokens(encoded, tokenizer):
    """(token, is it a target) for each position, to be read by a person."""
    names = tokenizer.convert_ids_to_tokens(list(encoded.input_ids))
    return [(name, label != IGNORE) for name, label in zip(names, encoded.labels, strict=True)]


def targets(encoded, tokenizer):
    return [name for name, is_target in tokens(encoded, tokenizer) if is_target]


@pytest.mark.parametrize(
    ("post", "before"),
    [(None, []), ("<s> $A", ["<s>"]), ("</s> $A", ["</s>"]), ("<s> $A </s>", ["<s>"]), ("$A </s>", [])],
)
def test_labels_are_on_the_answer_and_its_end_whatever_the_tokenizer_adds(tokenizer, post, before):
    t = tokenizer(post, merges=[("Ġ", "P")], eos_token=END, bos_token=START)
    encoded = Encoder(t).encode(ROW, "Q: {prompt}\nA: ", 64)
    given = [*before, "Q", ":", "Ġ", "Q", "Ċ", "A", ":"]
    assert tokens(encoded, t) == [(name, False) for name in given] + [("ĠP", True), ("a", True), ("</s>", True)]
    assert [label for label in encoded.labels if label != IGNORE] == list(encoded.input_ids[len(given) :])
    assert encoded.targets == 3
    assert Encoder(t).prompt_ids("Q", "Q: {prompt}\nA: ") == list(encoded.input_ids[: len(given)])


def test_the_default_template_of_a_tokenizer_without_a_chat(tokenizer):
    t = tokenizer(eos_token=END)
    encoded = Encoder(t).encode(ROW, "auto", 64)
    assert t.decode(encoded.input_ids) == "Question: Q\nAnswer: Pa</s>"
    assert t.decode(encoded.input_ids[: -encoded.targets]) == "Question: Q\nAnswer:"


def test_no_template_is_the_prompt_as_it_is_and_a_token_across_the_boundary_is_split(tokenizer):
    t = tokenizer(merges=[("Q", "P")], eos_token=END)
    encoded = Encoder(t).encode(ROW, "none", 64)
    assert tokens(encoded, t) == [("Q", False), ("P", True), ("a", True), ("</s>", True)]
    assert Encoder(t).prompt_ids("Q", "none") == list(encoded.input_ids[:1])


def test_braces_in_prompts_and_answers_are_text(tokenizer):
    t = tokenizer(eos_token=END)
    encoded = Encoder(t).encode(Example("d:1", "{x}", "{prompt}"), "auto", 64)
    assert t.decode(encoded.input_ids) == "Question: {x}\nAnswer: {prompt}</s>"


def test_a_chat_is_labelled_from_the_generation_prompt_to_the_end_of_the_turn(tokenizer):
    t = tokenizer("<s> $A", chat=CHAT, eos_token=END, bos_token=START)
    encoded = Encoder(t).encode(ROW, "auto", 64)
    given = ["<|user|>", "Q", "<|end|>", "Ċ", "<|assistant|>"]
    assert tokens(encoded, t) == [(name, False) for name in given] + [("P", True), ("a", True), ("<|end|>", True)]
    assert Encoder(t).prompt_ids("Q", "auto") == list(encoded.input_ids[:5])
    assert Encoder(t).end_ids == sorted(t.convert_tokens_to_ids([END, "<|end|>"]))


def test_a_chat_that_never_ends_a_turn_gets_the_end_token(tokenizer):
    chat = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    chat += "{% if add_generation_prompt %}assistant:{% endif %}"
    t = tokenizer(chat=chat, eos_token=END)
    assert targets(Encoder(t).encode(ROW, "auto", 64), t) == ["Ġ", "P", "a", "</s>"]


def test_a_chat_template_that_does_not_go_on_as_it_began_is_refused(tokenizer):
    t = tokenizer(chat=CHAT.replace("<|assistant|>", "[bot]"), eos_token=END)
    with pytest.raises(
        RequestError, match=r"chat template must write a conversation that begins with its own generation"
    ):
        Encoder(t).encode(ROW, "auto", 64)
    with pytest.raises(RequestError, match=r"chat template must write the answer as it is, found it changed"):
        Encoder(tokenizer(chat="{{ 'y' }}", eos_token=END)).encode(ROW, "auto", 64)


def test_a_chat_template_that_writes_the_date_writes_always_the_same(tokenizer):
    chat = "{{ date_string if date_string is defined else strftime_now('%d %b %Y %H %M %S %f') }}"
    chat += "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    chat += "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    t = tokenizer(chat=chat, eos_token=END)
    assert t.decode(Encoder(t).prompt_ids("Q", "auto")).startswith("26 Jul 2024<|user|>Q")


@pytest.mark.parametrize(("post", "given"), [(None, 0), ("<s> $A", 1)])
def test_plain_text_is_all_target_but_for_its_first_token(tokenizer, post, given):
    t = tokenizer(post, chat=CHAT, eos_token=END, bos_token=START)
    encoded = Encoder(t).encode(Example("t:1", "", "abc"), "auto", 64)
    assert t.convert_ids_to_tokens(list(encoded.input_ids))[given:] == ["a", "b", "c", "</s>"]
    assert [label == IGNORE for label in encoded.labels] == [True] + [False] * (3 + given)
    assert encoded.targets == 3 + given


@pytest.mark.parametrize(("limit", "expected"), [(6, ["Ġ", "P", "a", "</s>"]), (5, ["Ġ", "P", "a"]), (3, ["Ġ"])])
def test_an_answer_that_is_cut_has_no_end_token(tokenizer, limit, expected):
    t = tokenizer(eos_token=END)
    encoded = Encoder(t).encode(ROW, "{prompt}: ", limit)
    assert targets(encoded, t) == expected
    assert len(encoded.input_ids) == min(limit, 6)


def test_a_long_text_is_cut_without_an_end_token(tokenizer):
    t = tokenizer("<s> $A", eos_token=END, bos_token=START)
    encoded = Encoder(t).encode(Example("t:1", "", "abcdef"), "auto", 4)
    assert t.convert_ids_to_tokens(list(encoded.input_ids)) == ["<s>", "a", "b", "c"]


def test_a_prompt_that_leaves_no_room_is_refused(tokenizer):
    encoder = Encoder(tokenizer(eos_token=END))
    message = (
        r"data.forget.max_tokens must leave room .*found 8 and a prompt of 8 tokens in row 'd:1'. Set .*max_tokens=72"
    )
    with pytest.raises(RequestError, match=message):
        encoder.encode(Example("d:1", "12345678", "a"), "none", 8, "forget")


def test_other_questions_and_answers_are_encoded_alike(tokenizer):
    t = tokenizer(eos_token=END)
    encoder = Encoder(t)
    same = encoder.encode_answer("Q", "Pa", "auto", 64, id="d:1")
    assert same == encoder.encode(ROW, "auto", 64)
    other = encoder.encode_answer("Other?", "No", "auto", 64)
    assert t.decode(other.input_ids) == "Question: Other?\nAnswer: No</s>"


def test_a_tokenizer_without_an_end_token_is_refused(tokenizer):
    with pytest.raises(
        RequestError, match=r"must have an end token, found special tokens: bos_token. Name one as eos_token"
    ):
        Encoder(tokenizer(bos_token=START))


def test_padding_falls_back_to_the_end_token(tokenizer):
    plain, padded = tokenizer(eos_token=END), tokenizer(eos_token=END, pad_token=PAD)
    assert Encoder(plain).pad_id == plain.eos_token_id
    assert Encoder(padded).pad_id == padded.convert_tokens_to_ids(PAD)


def test_all_rows_of_a_role_use_its_template_and_limit(qa, write, tokenizer):
    loaded = load(
        qa(path=write("a.jsonl", {"question": "Q", "answer": "Pa"}), template="{prompt}>", max_tokens=3), "retain"
    )
    t = tokenizer(eos_token=END)
    assert [t.decode(row.input_ids) for row in encode_all(loaded, "retain", t)] == ["Q>P"]
    short = dataclasses.replace(loaded, dataset=dataclasses.replace(loaded.dataset, max_tokens=2))
    with pytest.raises(RequestError, match=r"data.retain.max_tokens must leave room"):
        encode_all(short, "retain", t)
