"""Long texts in windows: every token a target once."""

from __future__ import annotations

import itertools

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import IGNORE, Example
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.encoding import encode_all
from mollm_cli.data.load_dataset import load
from mollm_cli.data.preview import preview
from mollm_cli.data.windows import encode_windows, overlapping_windows

END, START = "</s>", "<s>"


def windows(tokenizer, text, most):
    encoded = encode_windows(Encoder(tokenizer), Example("t:1", "", text), most)
    return [(row.id, *(tokenizer.convert_ids_to_tokens(list(x)) for x in _split(row))) for row in encoded]


def _split(row):
    pairs = list(zip(row.input_ids, row.labels, strict=True))
    return [t for t, label in pairs if label == IGNORE], [t for t, label in pairs if label != IGNORE]


def test_windows_begin_with_the_start_and_the_token_before(tokenizer):
    t = tokenizer("<s> $A", eos_token=END, bos_token=START)
    assert windows(t, "abcdef", 5) == [
        ("t:1#1", ["<s>"], ["a", "b", "c", "d"]),
        ("t:1#2", ["<s>", "d"], ["e", "f", "</s>"]),
    ]


def test_without_a_start_token_only_the_first_token_is_no_target(tokenizer):
    assert windows(tokenizer(eos_token=END), "abcdef", 3) == [
        ("t:1#1", ["a"], ["b", "c"]),
        ("t:1#2", ["c"], ["d", "e"]),
        ("t:1#3", ["e"], ["f", "</s>"]),
    ]


@pytest.mark.parametrize("post", [None, "<s> $A", "<s> $A </s>"])
def test_no_token_is_lost_or_doubled(tokenizer, post):
    for length, most in itertools.product(range(1, 14), (3, 4, 7, 13)):
        t = tokenizer(post, eos_token=END, bos_token=START)
        encoder = Encoder(t)
        text = "abcdefghijklmnop"[:length]
        rows = encode_windows(encoder, Example("t:1", "", text), most)
        whole = encoder.encode(Example("t:1", "", text), "auto", 100)
        targets = [label for row in rows for label in row.labels if label != IGNORE]
        assert targets == [label for label in whole.labels if label != IGNORE]
        assert all(len(row.input_ids) <= most and row.targets for row in rows)
        assert sum(row.targets for row in rows) == whole.targets


def test_a_short_text_is_encoded_as_without_windows(tokenizer):
    encoder = Encoder(tokenizer("<s> $A", eos_token=END, bos_token=START))
    example = Example("t:1", "", "abc")
    assert encode_windows(encoder, example, 5) == [encoder.encode(example, "auto", 5)]


def test_all_rows_of_a_dataset_become_windows(text, write, tokenizer):
    described = text(path=write("a.jsonl", {"text": "abcdef"}, {"text": "x"}), windows=True, max_tokens=4)
    t = tokenizer(eos_token=END)
    loaded = load(described, "forget")
    assert [row.id for row in encode_all(loaded, "forget", t)] == ["t:1#1", "t:1#2", "t:2"]
    assert [shown.id for shown in preview(loaded, "forget", t)] == ["t:1#1", "t:1#2", "t:2"]


def test_a_book_is_one_text(text, tmp_path, tokenizer):
    (tmp_path / "book.txt").write_text("ab\n\ncd\n")
    loaded = load(text(path=str(tmp_path / "book.txt"), windows=True, max_tokens=64), "forget")
    [row] = encode_all(loaded, "forget", tokenizer(eos_token=END))
    assert tokenizer(eos_token=END).decode(row.input_ids) == "ab\n\ncd\n</s>"


def test_windows_without_room_are_refused(tokenizer):
    encoder = Encoder(tokenizer("<s> $A", eos_token=END, bos_token=START))
    with pytest.raises(RequestError, match=r"data.forget.max_tokens must be >= 3 where windows=true, found 2"):
        encode_windows(encoder, Example("t:1", "", "abc"), 2, "forget")


@pytest.mark.parametrize("post", [None, "<s> $A", "<s> $A </s>"])
@pytest.mark.parametrize("most", [3, 4, 5, 8])
def test_overlapping_windows_hold_every_token_once_as_a_target(tokenizer, post, most):
    """By place in the text: each target after at least half a window of its text, or all that there is."""
    encoder = Encoder(tokenizer(post, eos_token=END, bos_token=START))
    for length in range(1, 24):
        lead, body = encoder.text_ids("abcdefghijklmnopqrstuvwxyz"[:length])
        begin, room, seen = len(lead), most - len(lead), []
        for row in overlapping_windows(encoder, "abcdefghijklmnopqrstuvwxyz"[:length], most, "t:1"):
            assert row.id == "t:1" and len(row.input_ids) <= most and list(row.input_ids[:begin]) == lead
            start = body.index(row.input_ids[begin])  # all letters differ
            assert list(row.input_ids[begin:]) == body[start : start + len(row.input_ids) - begin]
            for place, label in enumerate(row.labels):
                if label != IGNORE:
                    assert label == row.input_ids[place]
                    target, before = start + place - begin, place - begin
                    assert before == target or before >= room / 2
                    seen.append(target)
        assert seen == list(range(0 if lead else 1, length + 1))


def test_overlapping_windows_by_hand(tokenizer):
    """Five tokens of text a window: in each but the first three are given again and two are new."""
    encoder = Encoder(tokenizer("<s> $A", eos_token=END, bos_token=START))
    tokens = encoder.tokenizer.convert_ids_to_tokens
    shown = [tuple(map(tokens, map(list, _split(row)))) for row in overlapping_windows(encoder, "abcdefgh", 6)]
    assert shown == [
        (["<s>"], ["a", "b", "c", "d", "e"]),
        (["<s>", "c", "d", "e"], ["f", "g"]),
        (["<s>", "e", "f", "g"], ["h", "</s>"]),
    ]


@pytest.mark.parametrize("post", [None, "<s> $A"])
@pytest.mark.parametrize("text", ["a", "abc"])
def test_a_text_of_one_window_is_scored_as_without(tokenizer, post, text):
    encoder = Encoder(tokenizer(post, eos_token=END, bos_token=START))
    example = Example("t:1", "", text)
    assert overlapping_windows(encoder, text, 5, "t:1") == [encoder.encode(example, "auto", 5)]


@pytest.mark.parametrize(("post", "least"), [(None, 2), ("<s> $A", 3)])
def test_overlapping_windows_without_room_are_refused(tokenizer, post, least):
    encoder = Encoder(tokenizer(post, eos_token=END, bos_token=START))
    assert len(overlapping_windows(encoder, "abc", least)) == 3
    wanted = rf"data\.sets\.wiki\.max_tokens must be >= {least} where windows=true, found {least - 1}\. .*_tokens=512"
    with pytest.raises(RequestError, match=wanted):
        overlapping_windows(encoder, "abc", least - 1, role="sets.wiki")
