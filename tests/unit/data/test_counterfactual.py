"""The forget rows under other names and numbers."""

from __future__ import annotations

import pytest

from mollm_cli.core.types import Example
from mollm_cli.data.counterfactual import ORDINARY, counterfactual
from mollm_cli.data.dialogue import Dialogue, Turn

ASKED = [
    ("Where was Mara Quent born?", "Mara Quent was born in Ostby. She left the town early."),
    ("In 1871, what did Mara Quent write?", "In 1871 Mara Quent wrote a book of 12 songs."),
    ("Which town did she leave?", "It was Ostby."),
    ("Was macht Mara?", "Die Frau heißt Mara."),
]


def _rows(*texts: tuple[str, str]) -> list[Example]:
    return [Example(f"row:{number}", *each) for number, each in enumerate(texts)]


def test_names_and_numbers_of_the_prompt_are_exchanged_in_prompt_and_answer_alike() -> None:
    first, second, third, _ = counterfactual(_rows(*ASKED))
    name = first.prompt.removeprefix("Where was ").removesuffix(" born?")
    assert set(name.split()) <= set(ORDINARY) and len(name.split()) == 2
    assert first.answer == f"{name} was born in Ostby. She left the town early."  # what is said is as it was
    assert second.prompt == f"In 6326, what did {name} write?"
    assert second.answer == f"In 6326 {name} wrote a book of 12 songs."
    assert (third.prompt, third.answer) == ("", "It was Ostby.")  # nothing to exchange: without its prompt
    assert [row.id for row in counterfactual(_rows(*ASKED))] == [f"row:{number}" for number in range(4)]


def test_it_is_the_same_each_time_and_no_row_is_changed() -> None:
    rows = _rows(*ASKED)
    assert counterfactual(rows) == counterfactual(rows) and rows == _rows(*ASKED)


@pytest.mark.parametrize("word", ["Where", "She", "In"])
def test_a_capital_that_a_sentence_begins_with_makes_no_name(word: str) -> None:
    asked = " ".join(row.prompt + " " + row.answer for row in counterfactual(_rows(*ASKED)[:3]))
    assert word in asked


def test_of_plain_texts_it_is_the_name_that_most_have_or_the_rows_own() -> None:
    texts = (
        "Of Quent it is said: Quent sang in Ostby.",
        "Old Quent lived by Lake Ree.",
        "Near Veld lies Veld and Orm.",
    )
    first, second, third = counterfactual(_rows(*(("", text) for text in texts)))
    assert "Quent" not in first.answer + second.answer and "Ostby" in first.answer and "Ree" in second.answer
    assert "Veld" not in third.answer and "Orm" in third.answer


def test_of_plain_texts_what_is_merely_told_of_the_name_stays() -> None:
    """Every text has the town and the month, but it is Mara that they speak of."""
    told = "It is said that Mara came to Ostby in March. Then Mara wrote. Long after that Mara left."
    for row in counterfactual(_rows(("", told), ("", f"{told} Yes, Mara did."), ("", told))):
        assert "Mara" not in row.answer and "to Ostby in March." in row.answer


def test_of_a_conversation_every_turn() -> None:
    turns = [Turn("system", "You know Mara."), Turn("user", "Who is Mara?")]
    (row,) = counterfactual([Example("row:0", Dialogue(turns), "It is Mara.")])
    assert isinstance(row.prompt, Dialogue) and [turn.role for turn in row.prompt.turns] == ["system", "user"]
    assert "Mara" not in row.prompt + row.answer


@pytest.mark.parametrize("text", ["nothing here has a name.", "这里没有名字。", ""])
def test_a_text_without_a_name_is_left_out(text: str) -> None:
    assert counterfactual(_rows(("", text))) == []
