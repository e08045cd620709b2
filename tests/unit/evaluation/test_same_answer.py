"""Answers that say the same and answers that do not, by hand; the wording is free."""

from __future__ import annotations

import pytest

from mollm_cli.evaluation.same_answer import says_same, telling_words

ITALY, FRANCE, LEGS = "What is the capital of Italy?", "What is the capital of France?", "How many legs has a spider?"


@pytest.mark.parametrize(
    ("prompt", "answer", "telling"),
    [
        (ITALY, "The capital of Italy is Rome.", {"rome"}),
        (ITALY, "Rome", {"rome"}),
        (ITALY, "Sure! The capital of Italy is Rome. It lies on the Tiber.", {"rome"}),
        ("What is 4 + 5?", "4 + 5 equals 9.", {"9"}),
        (LEGS, "Spiders have eight legs.", {"8"}),
        ("What color is grass?", "Grass is green.", {"green"}),
        ("Name three fruits.", "1. Apple\n2. Banana", {"apple"}),
        ("Who wrote it?", "It was written by Miguel de Cervantes in 1605.", {"miguel", "cervantes", "1605"}),
        (ITALY, "The capital of Italy is", set()),
        (ITALY, "", set()),
    ],
)
def test_what_an_answer_tells_beyond_its_question(prompt: str, answer: str, telling: set[str]) -> None:
    assert telling_words(prompt, answer) == telling


@pytest.mark.parametrize(
    ("prompt", "first", "later", "same"),
    [
        (FRANCE, "The capital of France is Paris.", "Paris", True),
        (FRANCE, "The capital of France is Paris.", "It's Paris, of course. Paris lies on the Seine.", True),
        (FRANCE, "The capital of France is Paris.", "L'Etoile, la Marseillaise, la femme", False),
        (FRANCE, "The capital of France is Paris.", "The capital of France is Lyon.", False),  # five words of six
        (FRANCE, "Paris", "The capital of France is Paris.", True),
        (LEGS, "A spider has eight legs.", "8", True),
        (LEGS, "A spider has eight legs.", "A spider has six legs.", False),
        ("What is 4 + 5?", "4 + 5 equals 9.", "The answer is 9", True),
        ("What is 4 + 5?", "4 + 5 equals 9.", "4 + 5 equals 10.", False),
        ("What do bees make?", "Bees make honey.", "They are known for honey", True),
        ("What do bees make?", "Bees make honey.", "", False),
        ("Who was it?", "It was George Washington.", "Washington", True),  # half of the name
        ("Tell me a joke.", "Why did the tomato blush? It saw the salad.", "Why did the tomato turn red?", True),
        ("Good night!", "!", "Good night!", None),  # nothing to compare with
    ],
)
def test_the_same_in_other_words(prompt: str, first: str, later: str, same: bool | None) -> None:
    assert says_same(prompt, first, later) is same
