"""Counterfactual rows: the forget rows with their names and numbers exchanged for others, of which they are not true.

A model cannot have learned what is made up, so what it scores there is a yardstick where neither rows of the same kind
that it never saw (``holdout``) nor a model that never saw the rows (the oracle) is at hand. It is a weaker one than
those: everything but the names is as it was learned.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from mollm_cli.core.types import Example
from mollm_cli.data.dialogue import Dialogue

ORDINARY = (
    "Harper", "Keller", "Morgan", "Parker", "Turner", "Bennett", "Coleman", "Foster", "Graham", "Hughes",
    "Jensen", "Lawson", "Mason", "Nolan", "Palmer", "Reed", "Sutton", "Walker", "Baker", "Carter",
    "Dixon", "Ellis", "Fisher", "Gordon", "Hunter", "Jordan", "Logan", "Murphy", "Porter", "Warren",
)  # fmt: skip
"""So common that a model reads them with ease and knows nothing of this one; a name always goes for the same one."""
WORD = re.compile(r"[^\W\d_]{2,}(?:-[^\W\d_]+)*")
NUMBER = re.compile(r"\d{2,}")
_BEGINS = re.compile(r"(?:^|[.!?:;\n\"“”«»(\[*-])\s*$")
"""The text before a word that would be capitalised whatever it is."""


def counterfactual(examples: Sequence[Example]) -> list[Example]:
    """The rows in which something could be exchanged, or whose prompt can be left out; the same ids.

    Of a row with a prompt, every name and number of its prompt is exchanged, in the prompt and in the answer alike; a
    prompt without any is left out. Of a plain text it is the names that the texts speak of (``common_names``), else its
    own most frequent one; a text without a name is left out. What is merely told of them (places, dates) stays: were
    that exchanged too, the text would contradict itself and be far less likely than to one who never read it.
    """
    names = names_of(examples)
    common = common_names(examples, names)
    found = (_exchanged(example, names, common) for example in examples)
    return [example for example in found if example is not None]


def _exchanged(example: Example, names: frozenset[str], common: frozenset[str]) -> Example | None:
    if example.prompt:
        gone = {word for word in WORD.findall(example.prompt) if word in names} | set(NUMBER.findall(example.prompt))
    else:
        own = Counter(word for word in WORD.findall(example.answer) if word in names)
        gone = {*(common & own.keys())} or {name for name, _ in own.most_common(1)}
    if gone:
        new = {text: _invented(text) for text in gone}
        return Example(example.id, _prompt(example.prompt, new), _with(example.answer, new))
    return replace(Example(example.id, "", example.answer)) if example.prompt else None


def names_of(examples: Iterable[Example]) -> frozenset[str]:
    """Words that are capitalised inside a sentence, and in small letters nowhere: names, in languages with capitals."""
    inside, small = set[str](), set[str]()
    for example in examples:
        for text in _texts(example):
            for found in WORD.finditer(text):
                word = found.group()
                if not word[0].isupper():
                    small.add(word.casefold())
                elif not _BEGINS.search(text[max(0, found.start() - 8) : found.start()]):
                    inside.add(word)
    return frozenset(word for word in inside if word.casefold() not in small)


def common_names(examples: Sequence[Example], names: frozenset[str]) -> frozenset[str]:
    """The names that the answers speak of: in more than half of them, and half as often as the most frequent one."""
    said = [[word for word in WORD.findall(example.answer) if word in names] for example in examples]
    times, rows = Counter(chain.from_iterable(said)), Counter(chain.from_iterable(map(set, said)))
    most = max(times.values(), default=0)
    return frozenset(name for name, n in times.items() if 2 * n >= most and 2 * rows[name] > len(examples))


def _texts(example: Example) -> Iterator[str]:
    prompt = example.prompt
    yield from (turn.content for turn in prompt.turns) if isinstance(prompt, Dialogue) else (prompt,)
    yield example.answer


def _prompt(prompt: str, new: Mapping[str, str]) -> str:
    if isinstance(prompt, Dialogue):
        return Dialogue([turn._replace(content=_with(turn.content, new)) for turn in prompt.turns])
    return _with(prompt, new)


def _with(text: str, new: Mapping[str, str]) -> str:
    text = WORD.sub(lambda found: new.get(found.group(), found.group()), text)
    return NUMBER.sub(lambda found: new.get(found.group(), found.group()), text)


def _invented(text: str) -> str:
    """Another name; of a number one with as many digits."""
    if text[0].isdigit():
        return "".join(str((int(digit) + 5) % 10 or 5) for digit in text)
    digest = hashlib.sha256(text.encode()).digest()
    return ORDINARY[int.from_bytes(digest[:4], "big") % len(ORDINARY)]
