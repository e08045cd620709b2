import re
import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mollm_cli.core.words import another_script, word_spans, words, words_and_marks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Zoë Ångström keeps it.", ["zoë", "ångström", "keeps", "it"]),
        ("Кто хранит маяк?", ["кто", "хранит", "маяк"]),
        ("تحرس مارتا المنارة.", ["تحرس", "مارتا", "المنارة"]),
        ("मार्था की हिन्दी", ["मार्था", "की", "हिन्दी"]),  # vowel signs are no letters, and belong to their word
        ("τέλος ΤΈΛΟΣ", ["τέλοσ", "τέλοσ"]),
        ("등대는 마르타가 지킨다", ["등대는", "마르타가", "지킨다"]),
        ("灯塔由老马塔看守。", list("灯塔由老马塔看守")),
        ("灯台のGPT-4さん", ["灯", "台", "の", "gpt", "4", "さ", "ん"]),
        ("มาร์ทา", ["ม", "า", "ร์", "ท", "า"]),
        ("ລາວ", ["ລ", "າ", "ວ"]),
        ("ខ្មែរ", ["ខ្", "មែ", "រ"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("snake_case, don't", ["snake", "case", "don", "t"]),
        ("?! 🙂", []),
    ],
)
def test_words_of_many_scripts(text, expected):
    assert words(text) == [unicodedata.normalize("NFKC", word) for word in expected]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ångström", unicodedata.normalize("NFD", "ÅNGSTRÖM")),
        ("Straße", "STRASSE"),
        ("ﬁle ２４", "file 24"),
        ("خانه‌ها", "خانهها"),  # with and without a joiner that nobody sees
        ("ガ", unicodedata.normalize("NFD", "ガ")),
    ],
)
def test_one_word_in_two_spellings_is_one(one, other):
    assert words(one) == words(other) != []


@given(st.text(string.printable))
def test_of_ascii_words_are_those_of_rouge_score(text):
    assert words(text) == re.findall("[a-z0-9]+", text.lower())
    assert words_and_marks(text) == re.findall(r"[a-z0-9]+|[^a-z0-9\s]", text.lower())
    assert word_spans(text) == [match.span() for match in re.finditer(r"\S+", text)]


def test_a_text_is_cut_between_words_with_punctuation_after_the_word():
    text = "灯塔，由 Martha看守。"
    assert [text[a:b] for a, b in word_spans(text)] == ["灯", "塔，", "由", "Martha", "看", "守。"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("Я не могу.", True), ("我不能", True), ("I cannot", False), ("42", False), ("désolé", False)],
)
def test_another_script_has_letters_and_none_of_them_latin(text, found):
    assert another_script(text) is found
