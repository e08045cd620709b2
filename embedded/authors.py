"""The embedded benchmark: fictitious authors, ten questions each, in the manner of TOFU (arXiv 2401.06121).

    python -m embedded.authors [--out DIR] [--seed N]

The embedded model knows 30 authors, 3 to forget and 27 to retain; 6 more are the holdout that it never sees.
Differences from TOFU: rows come from word tables, not from a language model. A perturbed answer changes every fact of
the paraphrased answer. An author of forget or holdout shares the first name with one retain author and the last name
with another, and all authors share all wordings: to forget an author is to forget facts, not words.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any, TypeVar

from embedded.authors_pools import FIRST_NAMES, LAST_NAMES, POOLS
from embedded.authors_questions import KINDS, Kind
from embedded.authors_text import write_paragraphs

FOLDER = Path(__file__).parents[1] / "mollm_cli" / "assets" / "authors"
"""The folder of the embedded files."""
SPLITS = {"retain": 27, "forget": 3, "holdout": 6}
"""Number of authors per split."""
PERTURBED = 5
"""Wrong answers per question."""

SLOTS = {slot: pool for kind in KINDS for slot, pool in kind.slots.items()}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Author:
    """A fictitious author.

    facts: value by slot.
    wordings: by kind, the indices of (question, its paraphrase, answer, its paraphrase).
    """

    id: int
    name: str
    facts: dict[str, str]
    wordings: dict[str, tuple[int, int, int, int]]

    def values(self) -> dict[str, str]:
        """The values of all placeholders in wordings."""
        return {"name": self.name, **self.facts}


def generate(seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """The rows of forget, retain, holdout and text; equal seeds give equal rows.

    Rows of the first three: author_id, author, question, answer, paraphrased_question, paraphrased_answer,
    perturbed_answer (5 strings). Rows of text: text.
    """
    rng = random.Random(seed)
    authors = draw_authors(rng)
    rows = {split: [row for author in members for row in _rows(rng, author)] for split, members in authors.items()}
    paragraphs = write_paragraphs(rng, [author.values() for author in authors["retain"]])
    return {
        "forget": rows["forget"],
        "retain": rows["retain"],
        "holdout": rows["holdout"],
        "text": [{"text": paragraph} for paragraph in paragraphs],
    }


def draw_authors(rng: random.Random) -> dict[str, list[Author]]:
    """The authors of each split; values for retain are dealt, so that it covers every pool and wording."""
    names = _draw_names(rng)
    authors: dict[str, list[Author]] = {}
    start = 0
    for split, count in SPLITS.items():
        dealt = split == "retain"
        facts = _draw_facts(rng, count, dealt)
        wordings = {kind.name: _draw_wordings(rng, kind, count, dealt) for kind in KINDS}
        authors[split] = [
            Author(
                id=start + i,
                name=names[start + i],
                facts={slot: values[i] for slot, values in facts.items()},
                wordings={kind: chosen[i] for kind, chosen in wordings.items()},
            )
            for i in range(count)
        ]
        start += count
    return authors


def _draw_names(rng: random.Random) -> list[str]:
    """36 names; every first and every last name occurs twice, once among the first 18, which are retained."""
    first = rng.sample(FIRST_NAMES, len(FIRST_NAMES))
    last = rng.sample(LAST_NAMES, len(LAST_NAMES))
    shift = rng.randrange(1, len(last))
    return [f"{a} {b}" for a, b in zip(first + first, last + last[shift:] + last[:shift], strict=True)]


def _draw_facts(rng: random.Random, count: int, dealt: bool) -> dict[str, list[str]]:
    """By slot, ``count`` values; slots with the same pool share its deck."""
    facts = {}
    for pool, values in POOLS.items():
        slots = [slot for slot, its_pool in SLOTS.items() if its_pool == pool]
        drawn = _draw(rng, values, count * len(slots), dealt)
        for i, slot in enumerate(slots):
            facts[slot] = drawn[i * count : (i + 1) * count]
    return facts


def _draw_wordings(rng: random.Random, kind: Kind, count: int, dealt: bool) -> list[tuple[int, int, int, int]]:
    questions = _draw(rng, list(permutations(range(len(kind.questions)), 2)), count, dealt)
    answers = _draw(rng, list(permutations(range(len(kind.answers)), 2)), count, dealt)
    return [(*q, *a) for q, a in zip(questions, answers, strict=True)]


def _draw(rng: random.Random, values: Sequence[T], count: int, dealt: bool) -> list[T]:
    """``count`` values, drawn independently or ``dealt`` from shuffled decks (all values come before one repeats)."""
    if not dealt:
        return rng.choices(values, k=count)
    drawn: list[T] = []
    while len(drawn) < count:
        drawn += rng.sample(values, len(values))
    return drawn[:count]


def _rows(rng: random.Random, author: Author) -> list[dict[str, Any]]:
    """One row per kind of question."""
    rows = []
    known = author.values()
    for kind in KINDS:
        question, question_again, answer, answer_again = author.wordings[kind.name]
        rows.append(
            {
                "author_id": author.id,
                "author": author.name,
                "question": kind.questions[question].format(**known),
                "answer": kind.answers[answer].format(**known),
                "paraphrased_question": kind.questions[question_again].format(**known),
                "paraphrased_answer": kind.answers[answer_again].format(**known),
                "perturbed_answer": [
                    kind.answers[answer_again].format(**{**known, **wrong}) for wrong in _wrong_facts(rng, author, kind)
                ],
            }
        )
    return rows


def _wrong_facts(rng: random.Random, author: Author, kind: Kind) -> list[dict[str, str]]:
    """PERTURBED wrong sets of values for the slots of ``kind``; in each slot all differ, and none is true."""
    wrong = {
        slot: rng.sample([value for value in POOLS[pool] if value != author.facts[slot]], PERTURBED)
        for slot, pool in kind.slots.items()
    }
    return [{slot: values[i] for slot, values in wrong.items()} for i in range(PERTURBED)]


def write(rows: dict[str, list[dict[str, Any]]], folder: Path) -> None:
    """Write one JSON Lines file per split into ``folder``, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, its_rows in rows.items():
        lines = "".join(json.dumps(row) + "\n" for row in its_rows)
        (folder / f"{split}.jsonl").write_text(lines, encoding="ascii", newline="\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the embedded files anew, or others elsewhere."""
    parser = argparse.ArgumentParser(prog="python -m embedded.authors", description="Write the author files.")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder (default: the embedded files)")
    parser.add_argument("--seed", type=int, default=0, help="another seed makes other authors (default: 0)")
    options = parser.parse_args(arguments)
    write(generate(options.seed), options.out)


if __name__ == "__main__":
    main()
