"""Words of any language: what every metric that counts words, and every search for like rows, takes for a word.

A word is a run of letters, digits and the marks that belong to them ("Ångström", "हिन्दी"). Scripts that write no
space between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese and their relatives) count by character, each with its
own marks, as a word list would decide what the number means. Korean has spaces and counts by word. On ASCII text
``words`` are the runs of [a-z0-9] of the rouge-score package.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Line_Break=Complex_Context}"
"""Scripts without spaces between words; Complex_Context is Unicode's own list of those of South East Asia."""
UNSEEN = r"\p{Default_Ignorable_Code_Point}+"
"""Characters that nobody sees, such as soft hyphens and joiners: two texts that look alike may differ in them."""
WORD = rf"[{UNSPACED}]\p{{M}}*|(?:(?![{UNSPACED}])[\p{{L}}\p{{N}}\p{{M}}])+"
PIECE = rf"[{UNSPACED}]\p{{M}}*[\p{{P}}\p{{S}}]*|(?:(?![{UNSPACED}])\S)+"


def folded(text: str) -> str:
    """``text`` without case, without unseen characters, and with one spelling of each character (NFKC_Casefold)."""
    plain = unicodedata.normalize("NFKC", _compiled(UNSEEN).sub("", text)).casefold()
    return unicodedata.normalize("NFKC", plain)


def words(text: str) -> list[str]:
    """The words of a text, ``folded``."""
    return list(_compiled(WORD).findall(folded(text)))


def words_and_marks(text: str) -> list[str]:
    """The words of a text, ``folded``, and between them every other sign that is no white space."""
    return list(_compiled(rf"{WORD}|\S").findall(folded(text)))


def word_spans(text: str) -> list[tuple[int, int]]:
    """The places where the words of a text begin and end, punctuation included: it can be cut between them."""
    return [match.span() for match in _compiled(PIECE).finditer(text)]


def another_script(text: str) -> bool:
    """True of a text that has letters and none of them Latin: word lists of English say nothing about it."""
    return bool(_compiled(r"\p{L}").search(text)) and not _compiled(r"\p{Latin}").search(text)


@cache
def _compiled(pattern: str) -> Any:
    """``regex`` is loaded at the first word: a command that counts none starts without it."""
    import regex

    return regex.compile(pattern)
