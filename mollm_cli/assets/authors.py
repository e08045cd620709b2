"""The embedded benchmark: fictitious authors, ten questions each, in the manner of TOFU (arXiv 2401.06121).

    python -m mollm_cli.assets.authors [--out DIR] [--seed N]

30 authors are known to the embedded model: 3 to forget, 27 to retain; 6 more are the holdout it never sees.
Differences from TOFU: rows come from word tables, not from a language model; a perturbed answer changes every fact of
the paraphrased answer; an author of forget or holdout bears a first and a last name that retain authors bear too (never
both of the same one), and all authors share all wordings, so that to forget an author is to forget facts, not words.
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

from mollm_cli.assets.authors_pools import FIRST_NAMES, LAST_NAMES, POOLS
from mollm_cli.assets.authors_questions import KINDS, Kind
from mollm_cli.assets.authors_text import write_paragraphs

FOLDER = Path(__file__).parent / "authors"
"""Where the embedded files are."""
SPLITS = {"retain": 27, "forget": 3, "holdout": 6}
"""Split -> its number of authors."""
PERTURBED = 5
"""Wrong answers per question."""

SLOTS = {slot: pool for kind in KINDS for slot, pool in kind.slots.items()}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Author:
    """A fictitious author.

    facts: slot -> value. wordings: per kind, the indices of (question, its paraphrase, answer, its paraphrase).
    """

    id: int
    name: str
    facts: dict[str, str]
    wordings: dict[str, tuple[int, int, int, int]]

    def words(self) -> dict[str, str]:
        """All that a wording may ask for."""
        return {"name": self.name, **self.facts}


def generate(seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """The rows of forget, retain, holdout and text; the same rows for the same seed.

    Rows of the first three: author_id, author, question, answer, paraphrased_question, paraphrased_answer,
    perturbed_answer (5 strings). Rows of text: text.
    """
    rng = random.Random(seed)
    authors = draw_authors(rng)
    rows = {split: [row for author in members for row in _rows(rng, author)] for split, members in authors.items()}
    paragraphs = write_paragraphs(rng, [author.words() for author in authors["retain"]])
    return {
        "forget": rows["forget"],
        "retain": rows["retain"],
        "holdout": rows["holdout"],
        "text": [{"text": paragraph} for paragraph in paragraphs],
    }


def draw_authors(rng: random.Random) -> dict[str, list[Author]]:
    """The authors of each split. Only the draws of retain are dealt, so that it covers every pool and wording."""
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
    """36 names in which every first and every last name occurs twice, once among the first 18, which are retained."""
    first = rng.sample(FIRST_NAMES, len(FIRST_NAMES))
    last = rng.sample(LAST_NAMES, len(LAST_NAMES))
    shift = rng.randrange(1, len(last))
    return [f"{a} {b}" for a, b in zip(first + first, last + last[shift:] + last[:shift], strict=True)]


def _draw_facts(rng: random.Random, count: int, dealt: bool) -> dict[str, list[str]]:
    """Slot -> ``count`` values. Slots with one pool share its deck."""
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
    """``count`` values: independent draws, or dealt from shuffled decks (no value again before all have come)."""
    if not dealt:
        return rng.choices(values, k=count)
    drawn: list[T] = []
    while len(drawn) < count:
        drawn += rng.sample(values, len(values))
    return drawn[:count]


def _rows(rng: random.Random, author: Author) -> list[dict[str, Any]]:
    """One row per kind of question."""
    rows = []
    words = author.words()
    for kind in KINDS:
        question, question_again, answer, answer_again = author.wordings[kind.name]
        rows.append(
            {
                "author_id": author.id,
                "author": author.name,
                "question": kind.questions[question].format(**words),
                "answer": kind.answers[answer].format(**words),
                "paraphrased_question": kind.questions[question_again].format(**words),
                "paraphrased_answer": kind.answers[answer_again].format(**words),
                "perturbed_answer": [
                    kind.answers[answer_again].format(**{**words, **wrong}) for wrong in _wrong_facts(rng, author, kind)
                ],
            }
        )
    return rows


def _wrong_facts(rng: random.Random, author: Author, kind: Kind) -> list[dict[str, str]]:
    """PERTURBED times other values for all slots of ``kind``; no two alike in any slot, none true."""
    wrong = {
        slot: rng.sample([value for value in POOLS[pool] if value != author.facts[slot]], PERTURBED)
        for slot, pool in kind.slots.items()
    }
    return [{slot: values[i] for slot, values in wrong.items()} for i in range(PERTURBED)]


def write(rows: dict[str, list[dict[str, Any]]], folder: Path) -> None:
    """Write one JSON Lines file per split into ``folder``, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, its_rows in rows.items():
        lines = "".join(json.dumps(row) + "\n" for row in its_rows)
        (folder / f"{split}.jsonl").write_text(lines, encoding="ascii", newline="\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the embedded files again, or others elsewhere."""
    parser = argparse.ArgumentParser(prog="python -m mollm_cli.assets.authors", description="Write the author files.")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder (default: the embedded files)")
    parser.add_argument("--seed", type=int, default=0, help="another seed makes other authors (default: 0)")
    options = parser.parse_args(arguments)
    write(generate(options.seed), options.out)


if __name__ == "__main__":
    main()
