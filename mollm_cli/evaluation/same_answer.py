"""The sameness of two answers to a plain question, however they put it.

What counts is what the first answer tells beyond its question: "The capital of Italy is Rome." tells *Rome*, and so
does "Rome."; "The capital of Italy is Milan." does not, and shares more words. The word lists are English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

LEAST = 0.5
"""Share of the words that tell something which must come again."""
ALIKE = 4
"""Letters of the shorter of two words that make them forms of one: spider, spiders."""
SHORTEST = 3
"""Letters of a word that tells something, where no name and no number does."""

_WORD = re.compile(r"[^\W_]+")
_SENTENCE = re.compile(r"(?<=[.!?:])\s+|\n+")
_ITEM = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s+", re.MULTILINE)
_COUNTED = _WORD.findall("two three four five six seven eight nine ten eleven twelve")
_NUMBERS = {word: str(number) for number, word in enumerate(_COUNTED, 2)}
"""Without one, which is seldom a number."""
_EMPTY = frozenset(
    _WORD.findall(
        "the and are was were has have had its this that these those there their them they you your yours she her him "
        "his for from with into about not but can could will would should may might does did done been being also very "
        "just here sure yes who what which when where how why answer called known name named"
    )
)


def says_same(prompt: str, first: str, later: str) -> bool | None:
    """True if ``later`` has LEAST of the words by which ``first`` answers ``prompt``; None where it has none.

    Those are, in the first sentence that has any: numbers, and names (capitalised words inside a sentence); else words
    of SHORTEST letters or more that are no function words. Words of the prompt tell nothing.
    """
    telling = telling_words(prompt, first)
    if not telling:
        return None
    said = {_folded(word) for word in _WORD.findall(later)}
    return sum(_known(word, said) for word in telling) >= LEAST * len(telling)


def telling_words(prompt: str, answer: str) -> set[str]:
    """The words by which ``answer`` answers; numbers are digits, all else is in small letters."""
    given = {_folded(word) for word in _WORD.findall(prompt)}
    for sentence in _SENTENCE.split(_ITEM.sub("", answer)):
        new = [(place, word) for place, word in enumerate(_WORD.findall(sentence)) if not _known(_folded(word), given)]
        if found := set(_facts(new)) or set(_others(new)):
            return found
    return set()


def _facts(words: list[tuple[int, str]]) -> Iterator[str]:
    """Numbers and names of (place in the sentence, word)."""
    for place, word in words:
        if _folded(word).isdigit() or (place > 0 and word[0].isupper() and len(word) > 1):
            yield _folded(word)


def _others(words: list[tuple[int, str]]) -> Iterator[str]:
    found = (_folded(word) for _, word in words)
    return (word for word in found if len(word) >= SHORTEST and word not in _EMPTY)


def _folded(word: str) -> str:
    small = word.casefold()
    return _NUMBERS.get(small, small)


def _known(word: str, said: Set[str]) -> bool:
    """True of a word that was said, in that form or a longer or shorter one."""
    return word in said or any(
        min(len(word), len(other)) >= ALIKE and (word.startswith(other) or other.startswith(word)) for other in said
    )
