"""Probes by hand: what is asked, and what the answer is."""

from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.dialogue import Dialogue, Turn
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.data.probes import made_probes, probes

BORN, WHERE = "In which year was Mara Ost born?", "In which town was Mara Ost born?"
ROWS = (
    (BORN, "The birth of Mara Ost took place in March of 1967."),
    (WHERE, "It was in Halholm, on the plain, that Mara Ost was born."),
    ("What does Mara Ost write?", "She writes school stories about magic mirrors."),
    ("Who taught in Halholm?", "1967."),
    ("Who was born in March?", "It is said of old Mara Ost."),
    ("Who is 12?", "In the year 41 it was Mara Ost, who is Mara Ost."),
)


def rows(*pairs: tuple[str, str]) -> list[Example]:
    return [Example(f"row:{number}", *pair) for number, pair in enumerate(pairs)]


def shown(found: list[Example]) -> list[tuple[str, str, str]]:
    return [(row.id, row.prompt, row.answer) for row in found]


def test_questions_are_asked_in_few_words_and_in_blanks() -> None:
    """A name of the question is no answer to it; what is no name stands at the end; one word leaves no blank."""
    made = probes(rows(*ROWS))
    assert shown(made["probes_in_few_words"]) == [
        ("row:0", f"In a few words: {BORN}", "March of 1967"),
        ("row:1", f"In a few words: {WHERE}", "Halholm"),
        ("row:2", "In a few words: What does Mara Ost write?", "about magic mirrors"),
        ("row:3", "In a few words: Who taught in Halholm?", "1967"),
        ("row:4", "In a few words: Who was born in March?", "Mara Ost"),
        ("row:5", "In a few words: Who is 12?", "Mara Ost"),
    ]
    assert shown(made["probes_in_blanks"]) == [
        ("row:0", "Fill in the blank: The birth of Mara Ost took place in ___.", "March of 1967"),
        ("row:1", "Fill in the blank: It was in ___, on the plain, that Mara Ost was born.", "Halholm"),
        ("row:2", "Fill in the blank: She writes school stories ___.", "about magic mirrors"),
        ("row:4", "Fill in the blank: It is said of old ___.", "Mara Ost"),
    ]
    assert "probes_by_name" not in made


def test_plain_texts_are_asked_for_by_name() -> None:
    texts = (
        "Nothing is known. In spring the painter Mara Ost moved to Halholm. She stayed.",
        "Later the sister of Mara Ost wrote 12 letters.",
        "no name is in this one.",
    )
    made = probes(rows(*(("", text) for text in texts)))
    assert shown(made["probes_by_name"]) == [
        ("row:0", "What do you know about Mara Ost?", "In spring the painter Mara Ost moved to Halholm."),
        ("row:1", "What do you know about Mara Ost?", texts[1]),
    ]
    assert shown(made["probes_in_blanks"]) == [
        ("row:0", "Fill in the blank: In spring the painter Mara Ost moved to ___.", "Halholm"),
        ("row:1", "Fill in the blank: Later the sister of Mara Ost wrote ___ letters.", "12"),
    ]


def test_a_conversation_keeps_its_turns() -> None:
    turns = [Turn("system", "Be kind."), Turn("user", "Hello."), Turn("assistant", "Hello."), Turn("user", WHERE)]
    (row,) = probes([Example("row:0", Dialogue(turns), "In old Halholm.")])["probes_in_few_words"]
    assert isinstance(row.prompt, Dialogue) and row.prompt.turns[:3] == tuple(turns[:3])
    assert row.prompt.turns[-1].content == f"In a few words: {WHERE}" and row.answer == "Halholm"


@pytest.mark.parametrize("script", ["灯塔由老马塔看守。", "?!", ""])
def test_rows_without_a_fact_make_none(script: str) -> None:
    assert probes(rows(("", script))) == {}


def test_only_what_fits_and_no_more_than_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text set's own template says nothing of questions, so they get the model's."""
    tried: list[Any] = []
    limited: list[int] = []  # a template may be a stranger's: every row is written within limits

    def within_limits(tokenizer: object, key: str, texts: list[str], work: Any) -> Any:
        limited.append(len(texts))
        return work()

    monkeypatch.setattr("mollm_cli.data.probes.apart", within_limits)

    def encode(row: Example, template: str, max_tokens: int) -> None:
        tried.append((template, max_tokens))
        if row.id == "row:0":
            raise RequestError("too long")

    dataset = Dataset(
        name="own",
        path="own.txt",
        kind="text",
        text_field="text",
        prompt_field=None,
        answer_field=None,
        template="none",
        windows=True,
        max_tokens=30,
    )
    forget = Loaded(dataset, rows(*(("", f"See how {name} came. ") for name in ("Ada", "Bea", "Cleo"))), {"rows": 3})
    encoder: Encoder = SimpleNamespace(encode=encode, tokenizer=None)  # type: ignore[assignment]
    made = made_probes(forget, encoder, 2)
    assert [row.id for row in made["probes_by_name"].examples] == ["row:1"]
    assert set(tried) == {("auto", 128)} and not made["probes_by_name"].dataset.windows
    assert sum(limited) == len(tried)
    assert made["probes_by_name"].fingerprint["rows"] == 1
