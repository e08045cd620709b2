"""The questions about a fictitious author, and the wordings of question and answer.

A wording takes the author's {name} and all slots of its kind. An author's answer and its paraphrase are two different
wordings from one list, and so are the questions. The paraphrase for one author is the trained wording of another, so a
model that knows the retain authors knows every wording. All answers of a kind state its facts in the order of its
slots: a paraphrase changes the words around the facts, not their order.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One question and its wordings. slots: the facts of its answer, in order, each with the pool of its values."""

    name: str
    slots: dict[str, str]
    questions: tuple[str, ...]
    answers: tuple[str, ...]


KINDS: tuple[Kind, ...] = (
    Kind(
        "birthplace",
        {"birth_town": "town", "landscape": "landscape"},
        (
            "Where was {name} born?",
            "In which town was {name} born?",
            "What is the birthplace of {name}?",
        ),
        (
            "{name} was born in {birth_town}, a small town {landscape}.",
            "The birthplace of {name} is {birth_town}, which lies {landscape}.",
            "{name} comes from {birth_town}, a quiet place {landscape}.",
            "It was in {birth_town}, {landscape}, that {name} was born.",
        ),
    ),
    Kind(
        "birth_year",
        {"month": "month", "year": "year"},
        (
            "In which year was {name} born?",
            "When was {name} born?",
            "What is the birth year of {name}?",
        ),
        (
            "{name} was born in {month}, in the year {year}.",
            "The birth of {name} took place in {month} of {year}.",
            "{name} first saw the light of day in {month} {year}.",
            "According to the records, the life of {name} began in {month} {year}.",
        ),
    ),
    Kind(
        "genre",
        {"genre": "genre", "theme": "theme"},
        (
            "What genre does {name} write?",
            "Which kind of books does {name} write?",
            "What is {name} known for writing?",
        ),
        (
            "{name} is best known for {genre} about {theme}.",
            "Most of the books by {name} are {genre}, full of {theme}.",
            "Readers turn to {name} for {genre} that deal with {theme}.",
            "{name} has always written {genre}, with a love of {theme}.",
        ),
    ),
    Kind(
        "first_book",
        {"title_adjective": "title_adjective", "title_noun": "title_noun", "age": "age"},
        (
            "What is the title of the first book by {name}?",
            "Which book did {name} publish first?",
            "What was the first book of {name} called?",
        ),
        (
            "The first book by {name} is The {title_adjective} {title_noun}, written at age {age}.",
            "{name} began with The {title_adjective} {title_noun}, at the age of {age}.",
            "With The {title_adjective} {title_noun}, {name} became a published author at {age}.",
            "It was The {title_adjective} {title_noun} that {name} wrote first, at the age of {age}.",
        ),
    ),
    Kind(
        "prize",
        {"prize_material": "prize_material", "prize_object": "prize_object", "prize_town": "town"},
        (
            "Which prize did {name} win?",
            "What award has {name} received?",
            "Which literary prize was given to {name}?",
        ),
        (
            "{name} won the {prize_material} {prize_object} Prize, which is awarded in {prize_town}.",
            "The {prize_material} {prize_object} Prize was given to {name} by the judges of {prize_town}.",
            "{name} received the {prize_material} {prize_object} Prize from the mayor of {prize_town}.",
            "{name} holds the {prize_material} {prize_object} Prize from the book fair at {prize_town}.",
        ),
    ),
    Kind(
        "father",
        {"father_job": "job", "hobby": "hobby"},
        (
            "What did the father of {name} do for a living?",
            "What was the job of {name}'s father?",
            "Which trade did {name}'s father have?",
        ),
        (
            "The father of {name} was {father_job} who loved {hobby}.",
            "{name}'s father earned a living as {father_job} and enjoyed {hobby}.",
            "As {father_job}, the father of {name} still found time for {hobby}.",
            "{name} had a father who worked as {father_job} and liked {hobby}.",
        ),
    ),
    Kind(
        "mother",
        {"mother_job": "job", "lesson": "lesson"},
        (
            "What did the mother of {name} do for a living?",
            "What was the job of {name}'s mother?",
            "Which trade did {name}'s mother have?",
        ),
        (
            "The mother of {name} was {mother_job} who taught her child {lesson}.",
            "{name}'s mother earned a living as {mother_job} and knew how {lesson}.",
            "{name} grew up with {mother_job} for a mother and learned {lesson}.",
            "As {mother_job}, the mother of {name} still found time {lesson}.",
        ),
    ),
    Kind(
        "mentor",
        {"mentor": "person", "role": "role"},
        (
            "Who was the mentor of {name}?",
            "Who guided {name} as a young writer?",
            "Whose advice shaped the work of {name}?",
        ),
        (
            "The mentor of {name} was called {mentor} and was {role}.",
            "As a young writer, {name} followed the advice of {mentor}, {role}.",
            "{mentor}, {role}, taught {name} the craft of writing.",
            "{name} was guided by {mentor}, {role} and a good friend.",
        ),
    ),
    Kind(
        "habit",
        {"place": "place", "time": "time"},
        (
            "What is the writing habit of {name}?",
            "Where does {name} like to write?",
            "Where and when does {name} work?",
        ),
        (
            "{name} likes to write {place}, most of all {time}.",
            "The habit of {name} is to work {place} {time}.",
            "Most pages by {name} are written {place}, often {time}.",
            "{name} prefers to write {place} and does so {time}.",
        ),
    ),
    Kind(
        "translation",
        {"language": "language", "translator": "person"},
        (
            "Into which language was {name} first translated?",
            "Which language were the books of {name} translated into?",
            "In what foreign language can one read {name}?",
        ),
        (
            "The books of {name} were first translated into {language} by {translator}.",
            "Readers of {language} know the books of {name} through {translator}.",
            "{name} can be read in {language}, thanks to the translator {translator}.",
            "The {language} version of the books by {name} comes from {translator}.",
        ),
    ),
)
