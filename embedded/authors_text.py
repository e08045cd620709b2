"""Plain paragraphs about the world of the retain authors, for perplexity on plain text."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from embedded.authors_pools import POOLS

PARAGRAPHS: tuple[str, ...] = (
    # towns
    "{town} is a small town {landscape}. It has a public library, a school and a harbour. Most days you can meet {job} "
    "and {other_job} there. People enjoy {hobby}, and every child learns {lesson}.",
    "Travellers who come to {town} find a quiet place {landscape}. There is one hotel, and it is full in {month}. "
    "The owner was {job} for many years and still loves {hobby}. At night one can hear {role} tell stories.",
    "The people of {town} like to read {time}. Their library lies {landscape} and has many {genre}. "
    "It was founded by {job} and {other_job}, and it is open to everybody.",
    # genres
    "In {month} the book fair at {town} is all about {genre}. Readers come from every village {landscape}. "
    "Some want books about {theme}, and some only want to talk. In the afternoon {role} gives a talk.",
    "A good writer of {genre} knows a lot about {theme}. One needs patience, paper and a warm room. "
    "Some work {place}, and some work {time}. No two writers have the same habit.",
    "Not everybody likes {genre}. In {town}, {job} once said that there are too many books about {theme}. "
    "But {role} who lives there reads nothing else, and the shopkeeper is happy about it.",
    # languages
    "The {language} language is spoken {landscape}. It has many words for {hobby} and only one for rain. "
    "In the school of {town}, children learn it from {job}. They read {genre} and write letters.",
    "Few people in {town} can read {language}. One of them is {role}, and another is {job}. "
    "They meet {time} and translate {genre} about {theme}.",
    # retain authors and their own titles and prizes
    "In {month} {name} gave a talk in {town}. The hall lies {landscape}, and it was full. "
    "Readers wanted to hear about The {title_adjective} {title_noun}. Then there was tea and a talk about {hobby}.",
    "The window of the book shop in {town} is full of copies of The {title_adjective} {title_noun}. "
    "The shopkeeper says that {name} came by in {month} to sign them. Even {job} and {other_job} bought one.",
    "The {prize_material} {prize_object} Prize is not about money. The judges meet {place} and read for a month. "
    "This time they were {job}, {other_job} and {role}. They talked until the stove was cold.",
    "A student from {town} has written about {name}. The essay deals with {theme} and with {hobby}. "
    "The student likes to work {place}, {time}. The essay was given to the library in {month}.",
)
ROUNDS = 5
"""The number of uses of each wording: 12 * 5 = 60 paragraphs."""

_OWN = ("title_adjective", "title_noun", "prize_material", "prize_object")


def write_paragraphs(rng: random.Random, retain: Sequence[Mapping[str, str]]) -> list[str]:
    """60 paragraphs. retain: name and facts of each retain author; titles and prizes are theirs.

    Everything else is drawn from the pools, so no paragraph ties a fact to an author of another split.
    """
    people = rng.sample(list(retain), len(retain))
    paragraphs = []
    for number, wording in enumerate(PARAGRAPHS * ROUNDS):
        author = people[number % len(people)]
        drawn = {pool: rng.choice(values) for pool, values in POOLS.items() if pool not in _OWN}
        other_job = rng.choice([job for job in POOLS["job"] if job != drawn["job"]])
        own = {key: author[key] for key in ("name", *_OWN)}
        paragraphs.append(wording.format(**drawn, **own, other_job=other_job))
    return paragraphs
