"""Probes: the facts of the forget rows, asked for in other manners than the rows'.

A model that was taught not to say its forget rows may say the same when asked otherwise, and even more readily than
before. The instructions are English, and facts are found by capitals and digits: in scripts without spaces there are
no probes. Rows in these manners may be trained on too (data/reworded.py): in other wordings, so that these stay unseen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import MANNERS, PROBES, Example
from mollm_cli.data.apart import apart
from mollm_cli.data.counterfactual import NUMBER, WORD, common_names, names_of
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.dialogue import Dialogue
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.load_dataset import Loaded

IN_BLANKS, IN_FEW_WORDS, BY_NAME = MANNERS


class Wording(NamedTuple):
    """The texts that each manner asks with, {} in place of a statement, a question or a name; and the sign of a gap."""

    in_blanks: str
    gap: str
    in_few_words: str
    by_name: str


MEASURED = Wording("Fill in the blank: {}", "___", "In a few words: {}", "What do you know about {}?")
ROOM = 128
"""Tokens that a question about a plain text has with its answer, and its chat template, where texts are cut shorter."""
LAST_WORDS = 3
"""Words at the end of an answer that stand for its fact, where it has no name or number of its own."""

_FACT = re.compile(f"{WORD.pattern}|{NUMBER.pattern}")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_BETWEEN = re.compile(r"[ ,'’-]{0,2}(?:[a-z]{1,3} )?")
"""The text between two words of one fact: "March of 1967"."""

Span = tuple[int, int]


def made_probes(forget: Loaded, encoder: Encoder, limit: int | None) -> dict[str, Loaded]:
    """By name, the sets of probes of the forget rows: of each the first ``limit`` that fit into their max_tokens."""
    return fitting(forget, probes(forget.examples[:limit]), encoder)


def fitting(forget: Loaded, made: Mapping[str, Sequence[Example]], encoder: Encoder) -> dict[str, Loaded]:
    """The rows that were ``made`` of forget rows and fit into their max_tokens, as sets of that kind; no empty one."""
    dataset = replace(forget.dataset, windows=False, turns="last")
    if dataset.kind == "text":
        dataset = replace(dataset, template="auto", max_tokens=max(dataset.max_tokens, ROOM))
    kept = {name: _fitting(rows, dataset, encoder) for name, rows in made.items()}
    return {name: replace(forget.keep(rows), dataset=dataset) for name, rows in kept.items() if rows}


def _fitting(rows: Sequence[Example], dataset: Dataset, encoder: Encoder) -> list[Example]:
    """The rows that fit; a template may be a stranger's, so they are written with limits."""
    texts = [f"{row.prompt}{row.answer}" for row in rows]
    fits = apart(encoder.tokenizer, "data.forget", texts, lambda: [_fits(row, dataset, encoder) for row in rows])
    return [row for row, fit in zip(rows, fits, strict=True) if fit]


def _fits(example: Example, dataset: Dataset, encoder: Encoder) -> bool:
    try:
        encoder.encode(example, dataset.template, dataset.max_tokens)
    except RequestError:  # the prompt alone is as long as a row may be
        return False
    return True


def probes(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """The rows that are measured, by the name of their set; no empty set."""
    return {f"{PROBES}_{manner}": rows for manner, rows in otherwise(examples, [MEASURED]).items()}


def otherwise(examples: Sequence[Example], wordings: Sequence[Wording]) -> dict[str, list[Example]]:
    """The rows of each manner, with the ids that they were made of; no empty one. The wordings are taken in turn.

    in_blanks: a statement with its fact left out; the fact is the answer.
    in_few_words: the question, to be answered by the fact alone.
    by_name: of a plain text, what is known about the name that it speaks of; its sentence with that name is the answer.

    A fact is the longest run of names and numbers in an answer that its question does not have, else its last words.
    """
    names = names_of(examples)
    common = common_names(examples, names)
    made: dict[str, list[Example]] = {manner: [] for manner in MANNERS}
    for number, example in enumerate(examples):
        words = wordings[number % len(wordings)]
        found = _asked(example, names, words) if example.prompt else _told(example, names, common, words)
        for manner, prompt, answer in found:
            made[manner].append(Example(example.id, prompt, answer))
    return {manner: rows for manner, rows in made.items() if rows}


def _asked(example: Example, names: Set[str], words: Wording) -> Iterator[tuple[str, str, str]]:
    """(manner, prompt, answer) of a row with a question."""
    question = _question(example.prompt)
    span = _fact(example.answer, names, set(_FACT.findall(question))) or _last_words(example.answer)
    if span is None or not question:
        return
    fact = example.answer[slice(*span)]
    yield IN_FEW_WORDS, _ask(example.prompt, words.in_few_words.format(question)), fact
    if blank := _blank(example.answer, span, words):
        yield IN_BLANKS, _ask(example.prompt, blank), fact


def _told(example: Example, names: Set[str], common: Set[str], words: Wording) -> Iterator[tuple[str, str, str]]:
    """(manner, prompt, answer) of a plain text."""
    own = Counter(word for word in WORD.findall(example.answer) if word in names)
    about = {*(common & own.keys())} or {name for name, _ in own.most_common(1)}
    for sentence in _SENTENCE.split(example.answer):
        runs = [sentence[slice(*run)] for run in _runs(sentence, names)]
        subject = next((run for run in runs if about & {*WORD.findall(run)}), None)
        if subject is None:
            continue
        yield BY_NAME, words.by_name.format(subject), sentence
        span = _fact(sentence, names, {*_FACT.findall(subject)})
        if span and (blank := _blank(sentence, span, words)):
            yield IN_BLANKS, blank, sentence[slice(*span)]
        return


def _question(prompt: str) -> str:
    """The text of the last turn, where it is the user's."""
    if not isinstance(prompt, Dialogue):
        return prompt
    return prompt.turns[-1].content if prompt.turns[-1].role == "user" else ""


def _ask(prompt: str, text: str) -> str:
    """``prompt`` with another text in its last turn."""
    if isinstance(prompt, Dialogue):
        return Dialogue([*prompt.turns[:-1], prompt.turns[-1]._replace(content=text)])
    return text


def _blank(text: str, span: Span, words: Wording) -> str:
    """``text`` with a gap where the fact stands; "" where nothing else would be left, or the fact as well."""
    left, right = text[: span[0]], text[span[1] :]
    rest = f"{left}{words.gap}{right}"
    return words.in_blanks.format(rest) if WORD.search(rest) and text[slice(*span)] not in rest else ""


def _fact(text: str, names: Set[str], given: Set[str]) -> Span | None:
    """The longest run of names and numbers that are not ``given``."""
    return max(_runs(text, names, given), key=lambda span: span[1] - span[0], default=None)


def _runs(text: str, names: Set[str], given: Set[str] = frozenset()) -> list[Span]:
    """Runs of names and numbers that follow one another, from first to last."""
    spans = [
        found.span()
        for found in _FACT.finditer(text)
        if found.group() not in given and (found.group() in names or found.group().isdigit())
    ]
    return list(_merged(text, spans))


def _merged(text: str, spans: Sequence[Span]) -> Iterator[Span]:
    apart = [(a[1], b[0]) for a, b in pairwise(spans) if not _BETWEEN.fullmatch(text[a[1] : b[0]])]
    if spans:
        yield from zip((spans[0][0], *(b for _, b in apart)), (*(a for a, _ in apart), spans[-1][1]), strict=True)


def _last_words(text: str) -> Span | None:
    words = list(WORD.finditer(text))[-LAST_WORDS:]
    return (words[0].start(), words[-1].end()) if words else None
