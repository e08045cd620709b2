"""The end of a turn, what is given and what is a target, in chat templates of every shape."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from mollm_cli.core.budget import Budget, spending
from mollm_cli.core.errors import RequestError
from mollm_cli.core.manner import Manner, give_manner
from mollm_cli.core.types import IGNORE, Example
from mollm_cli.data.chat_turns import label_every_turn
from mollm_cli.data.dialogue import BEGUN, Turn, as_prompt
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.token_cache import tokenizer_fingerprint
from tests.support.chat_shapes import ANSWER, NOTHING, QUESTION, SHAPES, shaped

ROW = Example("d:1", QUESTION, ANSWER)


def encoder(name, **changes):
    shape = SHAPES[name]
    tokenizer = shaped(shape)
    ends = tuple(tokenizer.convert_tokens_to_ids(list(shape.named)))
    give_manner(tokenizer, Manner(changes.get("options", shape.options), ends))
    return Encoder(tokenizer)


def parts(encoder, row):
    """(the text that is given, the text that is a target) of a row in the chat template."""
    encoded = encoder.encode(row, "auto", 500)
    pairs = list(zip(encoded.input_ids, encoded.labels, strict=True))
    given = [token for token, label in pairs if label == IGNORE]
    assert given == encoder.prompt_ids(row.prompt, "auto", row.answer) == list(encoded.input_ids[: len(given)])
    return encoder.tokenizer.decode(given), encoder.tokenizer.decode(encoded.input_ids[len(given) :])


@pytest.mark.parametrize("name", SHAPES)
def test_a_chat_template_of_this_shape(name):
    """Targets, the prompt that is asked, and the tokens that end a generation."""
    shape, speaker = SHAPES[name], encoder(name)
    tokenizer = speaker.tokenizer
    assert parts(speaker, ROW) == (shape.given, shape.target)
    assert tokenizer.decode(speaker.prompt_ids(QUESTION, "auto")) == shape.given
    ends = {tokenizer.eos_token, *shape.named, *([shape.end] if shape.end else [])}
    assert set(tokenizer.convert_ids_to_tokens(speaker.end_ids)) == ends
    text = speaker.encode(Example("t", "", ANSWER), "auto", 500)
    opened = "<s>" if shape.adds else ""
    assert tokenizer.decode(text.input_ids) == f"{opened}{ANSWER}{tokenizer.eos_token}"


REASONED = Example("d:2", QUESTION, "<think>\nI recall.\n</think>\n\nAn x.")


@pytest.mark.parametrize("name", ["thinks", "thinks, told not to"])
def test_an_answer_that_reasons_itself_is_a_target_whole(name):
    given = SHAPES[name].given.removesuffix(NOTHING)
    assert parts(encoder(name), REASONED) == (given, REASONED.answer + "<|im_end|>")


def test_an_answer_of_which_the_template_leaves_something_out_is_refused():
    with pytest.raises(RequestError, match="must write the answer as it is, found it changed"):
        encoder("deep").encode(REASONED, "auto", 500)


def test_every_turn_is_a_target_where_earlier_ones_are_written_otherwise():
    """An answer to an earlier question has no empty thought before it."""
    turns = [Turn("user", "A?"), Turn("assistant", "a"), Turn("user", "B?"), Turn("assistant", "b"), Turn("user", "C?")]
    speaker = encoder("thinks")
    row = Example("d:1", as_prompt(turns), "c")
    every = label_every_turn(speaker, row, "auto", speaker.encode(row, "auto", 500), "forget")
    said = speaker.tokenizer.decode([label for label in every.labels if label != IGNORE])
    assert said == "a<|im_end|>b<|im_end|>c<|im_end|>"


def test_the_beginning_of_an_answer_is_given():
    begun = Example("d:1", as_prompt([Turn("user", QUESTION), Turn(BEGUN, "An ")]), "x.")
    spaced = replace(begun, prompt=as_prompt([Turn("user", QUESTION), Turn(BEGUN, " An ")]))
    for name in ("brackets", "thinks", "plain", "turns"):
        for row in (begun, spaced):
            given, target = parts(encoder(name), row)
            assert f"{given}{target}" == SHAPES[name].given + SHAPES[name].target
            assert given.endswith("An") and target.startswith(" x.")


@pytest.mark.parametrize("name", SHAPES)
def test_an_end_token_behind_an_answer_counts_once(name):
    """The template's own, the tokenizer's, with and without white space; in an earlier turn too."""
    speaker = encoder(name)
    expected = speaker.encode(ROW, "auto", 500)
    for end in speaker.tokenizer.convert_ids_to_tokens(speaker.end_ids):
        for answer in (f"{ANSWER}{end}", f"{ANSWER}{end}\n", f"{ANSWER}{end}{end}"):
            assert speaker.encode(Example("d:1", QUESTION, answer), "auto", 500) == expected
            plain = speaker.encode(Example("d:1", QUESTION, answer), "Q: {prompt} A: ", 500)
            assert plain == speaker.encode(ROW, "Q: {prompt} A: ", 500)
            earlier = [Turn("user", "A?"), Turn("assistant", answer), Turn("user", QUESTION)]
            bare = [Turn("user", "A?"), Turn("assistant", ANSWER), Turn("user", QUESTION)]
            assert speaker.prompt_ids(as_prompt(earlier), "auto") == speaker.prompt_ids(as_prompt(bare), "auto")
    assert speaker.encode(Example("t", "", f"{ANSWER}{end}"), "auto", 99) == speaker.encode(
        Example("t", "", ANSWER), "auto", 99
    )


def test_an_end_token_that_the_tokenizer_reads_as_text_counts_once():
    """Special tokens that are normalised are not found again behind a word."""
    import tokenizers

    speaker = encoder("zephyr")
    tokenizer = speaker.tokenizer
    tokenizer.backend_tokenizer.add_special_tokens([tokenizers.AddedToken("</s>", normalized=True)])
    tokenizer.backend_tokenizer.normalizer = tokenizers.normalizers.Prepend("_")
    assert tokenizer.eos_token_id not in tokenizer(f"{ANSWER}</s>")["input_ids"]
    again = Encoder(tokenizer)
    row = again.encode(Example("d:1", QUESTION, f"{ANSWER}</s>"), "auto", 99)
    assert row == again.encode(ROW, "auto", 99)
    assert tokenizer.decode([label for label in row.labels if label != IGNORE]) == f"{ANSWER}</s>"


def test_a_word_at_which_a_model_stops_is_left_in_answers():
    tokenizer = shaped(SHAPES["zephyr"])
    give_manner(tokenizer, Manner(ends=(tokenizer.convert_tokens_to_ids("."),)))
    assert Encoder(tokenizer).bare("An x.") == "An x." and Encoder(tokenizer).bare("An x.</s>") == "An x."


@pytest.mark.parametrize("name", ["brackets", "headed", "a word"])
def test_a_start_token_that_is_written_out_counts_once(name):
    speaker = encoder(name)
    ids = speaker.tokenizer.convert_tokens_to_ids
    for template in ("<s>Q: {prompt} A:", "<s><s>Q: {prompt} A:"):
        assert speaker.prompt_ids(QUESTION, template) == speaker.prompt_ids(QUESTION, "Q: {prompt} A:")
        assert speaker.opens_twice(ROW, template) and not speaker.opens_twice(ROW, "Q: {prompt} A:")
    text = Example("t", "", f"<s>{ANSWER}")
    assert speaker.encode(text, "none", 99) == speaker.encode(Example("t", "", ANSWER), "none", 99)
    assert speaker.opens_twice(text, "none")
    speaker.tokenizer.chat_template = f"<s>{SHAPES[name].chat}"
    again = Encoder(speaker.tokenizer)
    assert again.turn_end.twice and not speaker.turn_end.twice
    assert again.encode(ROW, "auto", 500).input_ids[:2] == (ids("<s>"), speaker.encode(ROW, "auto", 99).input_ids[1])


def test_a_tokenizer_that_adds_no_start_token_keeps_one_that_is_written_out():
    speaker = encoder("zephyr")
    assert speaker.tokenizer.decode(speaker.prompt_ids(QUESTION, "<s>{prompt}")) == f"<s>{QUESTION}"
    assert not speaker.opens_twice(ROW, "<s>{prompt}")


@pytest.mark.parametrize("stamp", ["%Y-%m-%d %H:%M", "%d %b %Y %S.%f", "%A"])
def test_the_clock_of_a_template_stands_still(stamp):
    chat = "{{ 'Now is ' + strftime_now('STAMP') + '.\n' }}".replace("STAMP", stamp) + SHAPES["plain"].chat
    tokenizer = shaped(replace(SHAPES["plain"], chat=chat))
    assert tokenizer.decode(Encoder(tokenizer).prompt_ids(QUESTION, "auto")) == (
        f"Now is {datetime(2024, 7, 26).strftime(stamp)}.\nuser: Who?\nassistant:"
    )


def test_an_option_may_say_another_date():
    chat = "{{ date_string }}" + SHAPES["plain"].chat
    tokenizer = shaped(replace(SHAPES["plain"], chat=chat))
    assert tokenizer.decode(Encoder(tokenizer).prompt_ids("Q", "auto")).startswith("26 Jul 2024user")
    give_manner(tokenizer, Manner({"date_string": "1 May 2031"}))
    assert tokenizer.decode(Encoder(tokenizer).prompt_ids("Q", "auto")).startswith("1 May 2031user")


def test_what_a_generation_prompt_has_beyond_answers_is_known():
    assert encoder("reasons").turn_end.beyond == "<think>"
    assert {name for name in SHAPES if encoder(name).turn_end.beyond} == {"reasons"}


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("thinks", "enable_thinkin", r"found no such word in it; did you mean enable_thinking\?"),
        ("thinks", "messages", "found no such word in it; leave it out: '~model.template_options.messages'"),
        ("plain", "zz", "found no such word in it; leave it out"),
        (None, "zz", "found a tokenizer without one; leave it out"),
    ],
)
def test_an_option_that_the_template_does_not_read_is_refused(name, option, message):
    tokenizer = shaped(SHAPES[name or "plain"])
    if name is None:
        tokenizer.chat_template = None
    give_manner(tokenizer, Manner({option: 1}))
    with pytest.raises(RequestError, match=rf"model.template_options.{option} must be an option of .*{message}"):
        Encoder(tokenizer)


@pytest.mark.parametrize("options", [{"enable_thinking": False}, {"enable_thinking": True}])
def test_caches_tell_options_and_ends_apart(options):
    tokenizer = shaped(SHAPES["thinks"])
    plain = tokenizer_fingerprint(tokenizer)
    for manner in (Manner(options), Manner(ends=(1,))):
        give_manner(tokenizer, manner)
        assert tokenizer_fingerprint(tokenizer) != plain
    give_manner(tokenizer, Manner())
    assert tokenizer_fingerprint(tokenizer) == plain


@pytest.mark.parametrize("chat", ["{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3, "{{ 1 / 0 }}"])
def test_a_chat_template_that_fails_hinders_no_other_template(chat):
    tokenizer = shaped(replace(SHAPES["zephyr"], chat=chat))
    with spending(Budget(seconds=0.3)):
        speaker = Encoder(tokenizer)
        assert tokenizer.decode(speaker.encode(ROW, "{prompt} ", 99).input_ids) == f"{QUESTION} {ANSWER}</s>"
        assert speaker.asking([QUESTION], "{prompt}", "data.forget")[1] == [tokenizer.eos_token_id]
