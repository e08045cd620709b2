from __future__ import annotations

import random
from collections import Counter

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.data.near_duplicates import NearDuplicates, counted_words, drop_near_duplicates


def example(text, prompt="", id="x"):
    return Example(id, prompt, text)


def similarity(one, other):
    a, b = (Counter(word for word, _ in counted_words(e)) for e in (one, other))
    return (a & b).total() / ((a | b).total() or 1)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.9, 1.0])
def test_the_index_finds_what_comparing_all_pairs_finds(threshold):
    draw = random.Random(threshold)
    texts = [" ".join(draw.choices("abcdefgh", k=draw.randint(0, 12))) for _ in range(400)]
    forget, others = [example(t) for t in texts[:100]], [example(t) for t in texts[100:]]
    index = NearDuplicates(forget, threshold)
    wanted = [any(similarity(o, f) >= threshold - 1e-9 for f in forget) for o in others]
    assert [index.find(o) is not None for o in others] == wanted
    assert True in wanted and False in wanted


def test_by_hand():
    index = NearDuplicates([example("one two three four"), example("a a b", prompt="c")], 0.6)
    assert index.find(example("ONE, two -- three; four!")) == 0
    assert index.find(example("one two three five")) == 0  # 3 of 5 words
    assert index.find(example("one two five six")) is None  # 2 of 6
    assert index.find(example("b c a a")) == 1
    assert index.find(example("a b c d e")) is None  # a once: 3 of 6
    assert index.find(example("...")) is None


def test_the_threshold_itself_counts():
    ten = "a b c d e f g h i j"
    assert NearDuplicates([example(ten)], 0.7).find(example("a b c d e f g")) == 0
    assert NearDuplicates([example(ten)], 0.7).find(example("a b c d e f")) is None
    many = [chr(ord("a") + number) for number in range(25)]
    assert 0.56 * 25 > 14  # in binary
    assert NearDuplicates([example(" ".join(many))], 0.56).find(example(" ".join(many[:14]))) == 0


def test_a_chinese_character_is_a_word():
    assert [word for word, _ in counted_words(example("我喜欢 Tee, 我们"))] == ["我", "喜", "欢", "tee", "我", "们"]


def test_rows_left_out_are_in_the_fingerprint(qa):
    retain = Loaded(qa(), [example("one two", id="r:1"), example("three four", id="r:2")], {"rows": 2})
    kept = drop_near_duplicates([example("Two, one")], retain, 0.9)
    assert [row.id for row in kept.examples] == ["r:2"]
    assert kept.fingerprint["near_duplicates"] == {"threshold": 0.9, "left_out": ["r:1"]}
    assert kept.fingerprint["rows"] == 1


def test_no_row_left_is_refused(qa):
    retain = Loaded(qa(), [example("one two")], {})
    with pytest.raises(RequestError, match=r"data.retain must hold rows .* found all 1 to be. Set"):
        drop_near_duplicates([example("one two")], retain, 0.9)


@pytest.mark.parametrize("threshold", [0, -1, 1.1])
def test_a_threshold_is_a_share(threshold):
    with pytest.raises(ValueError, match=r"near_duplicates must be in \(0, 1\] or null"):
        NearDuplicates([], threshold)
