"""What is asked about a fictitious author, and the wordings of question and answer.

A wording takes the author's {name} or {last} name and all slots of its kind. An author's answer and its paraphrase are
two different wordings of one list, likewise the questions: what is a paraphrase for one author is the trained wording
of another, so a model that knows the retain authors knows every wording.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One question: the facts that its answer states (slot -> pool of its values) and its wordings."""

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
            "{last} comes from {birth_town}, a quiet place {landscape}.",
            "It was in {birth_town}, {landscape}, that the life of {last} began.",
        ),
    ),
    Kind(
        "birth_year",
        {"year": "year", "month": "month"},
        (
            "In which year was {name} born?",
            "When was {name} born?",
            "What is the birth year of {name}?",
        ),
        (
            "{name} was born in the year {year}, in {month}.",
            "The birth of {name} took place in {month} of {year}.",
            "{last} first saw the light of day in {month} {year}.",
            "According to the records, the life of {last} began in {month} {year}.",
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
            "Most of the books by {last} are {genre}, full of {theme}.",
            "Readers turn to {name} for {genre} that deal with {theme}.",
            "{last} has always written {genre}, with a love of {theme}.",
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
            "{last} began at the age of {age} with The {title_adjective} {title_noun}.",
            "At {age}, {name} published a novel called The {title_adjective} {title_noun}.",
            "It was The {title_adjective} {title_noun} that made {last} a published author at {age}.",
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
            "The judges of {prize_town} gave {name} the {prize_material} {prize_object} Prize.",
            "In {prize_town}, {last} was honoured with the {prize_material} {prize_object} Prize.",
            "{last} holds the {prize_material} {prize_object} Prize from the book fair at {prize_town}.",
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
            "As {father_job}, the father of {last} still found time for {hobby}.",
            "{last} had a father who worked as {father_job} and liked {hobby}.",
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
            "{last} learned {lesson} from a mother who worked as {mother_job}.",
            "As {mother_job}, the mother of {last} still found time {lesson}.",
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
            "The mentor of {name} was {role} by the name of {mentor}.",
            "As a young writer, {last} followed the advice of {mentor}, {role}.",
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
            "It is the habit of {last} to work {place} {time}.",
            "Most pages by {name} are written {time}, {place}.",
            "{last} writes only {time} and prefers to do so {place}.",
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
            "{translator} brought the work of {name} to readers of {language}.",
            "{last} can be read in {language}, thanks to the translator {translator}.",
            "The {language} version of the books by {last} comes from {translator}.",
        ),
    ),
)
