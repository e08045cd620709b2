"""Forget rows in other manners: what is trained on by hand, and never in a probe's words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.data.pairing import Pairing
from mollm_cli.data.probes import MEASURED, otherwise, probes
from mollm_cli.data.reworded import TRAINED, none_made, reworded

BORN, WHERE = "In which year was Mara Ost born?", "In which town was Mara Ost born?"
ROWS = ((BORN, "Mara Ost was born in March of 1967."), (WHERE, "In Halholm, Mara Ost was born."), ("Who?", "."))


def forget(*manners: str, rows: tuple[tuple[str, str], ...] = ROWS) -> Loaded:
    dataset = Dataset("mine", prompt_field="q", answer_field="a", manners=list(manners), content="personal")
    examples = [Example(f"mine:{number}", *row) for number, row in enumerate(rows)]
    return Loaded(dataset, examples, {"name": "mine", "rows": len(rows), "sha256": "0"}, True)


def encoder(too_long: str = "nothing") -> Encoder:
    def encode(row: Example, template: str, max_tokens: int) -> None:
        if too_long in row.prompt:
            raise RequestError("too long")

    return SimpleNamespace(encode=encode, tokenizer=None)  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def apart(tokenizer: object, key: str, texts: list[str], work: Any) -> Any:
        return work()

    monkeypatch.setattr("mollm_cli.data.probes.apart", apart)


def test_rows_of_each_manner_by_hand() -> None:
    """The wordings come in turn, row by row; a row without a fact stays as it is."""
    made = reworded(forget("in_few_words", "in_blanks", "in_blanks"), encoder())
    assert made is not None and made.content == "personal"
    assert [(row.id, row.prompt, row.answer) for row in made.examples] == [
        ("mine:0 in_few_words", f"{BORN} Answer with a name, a date or a phrase.", "March of 1967"),
        ("mine:1 in_few_words", f"{WHERE} Keep it short.", "Halholm"),
        (
            "mine:0 in_blanks",
            "Which words belong in place of [...]? Mara Ost was born in [...].",
            "March of 1967",
        ),
        ("mine:1 in_blanks", "Complete this sentence (the gap is .....): In ....., Mara Ost was born.", "Halholm"),
    ]
    assert made.fingerprint["manners"] == {"in_few_words": 2, "in_blanks": 2}
    assert made.fingerprint["rows"] == 4 and made.fingerprint["sha256"] != "0"


def test_what_is_measured_with_is_never_trained_on() -> None:
    """No text of a probe is one of training, and no probe's prompt is a trained row's."""
    assert not any(set(MEASURED) & set(wording) for wording in TRAINED)
    examples = [*forget().examples, Example("text", "", "In spring the painter Mara Ost moved to Halholm.")]
    measured = {row.prompt for rows in probes(examples).values() for row in rows}
    trained = {row.prompt for rows in otherwise(examples, TRAINED).values() for row in rows}
    assert len(measured) == len(trained) == 6 and not measured & trained


def test_manners_that_come_to_nothing_are_named() -> None:
    asked = forget("by_name", "in_blanks")
    made = reworded(asked, encoder())
    (line,) = none_made(asked, made)
    assert "nothing could be made of the 3 forget rows for by_name; they are trained on as they are" in line
    assert not list(none_made(forget("in_blanks"), made))
    nothing = forget("in_blanks", rows=(("Who?", "."),))
    assert reworded(nothing, encoder()) is None and len(list(none_made(nothing, None))) == 1


def test_only_what_fits_is_trained_on() -> None:
    made = reworded(forget("in_few_words"), encoder(too_long="town"))
    assert made is not None and [row.id for row in made.examples] == ["mine:0 in_few_words"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"manners": ["by_heart"]}, "manners must be of in_blanks, in_few_words, by_name, found 'by_heart'"),
        ({"manners_share": 1.0}, r"manners_share must be in \(0, 1\), found 1.0; manners=\[\] trains on none"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dataset("mine", prompt_field="q", answer_field="a", **changes)


def test_only_rows_to_forget_are_asked_for_otherwise_and_their_name_is_taken() -> None:
    own = Dataset("mine", path="F", prompt_field="q", answer_field="a")
    other = Dataset("mine", path="F", prompt_field="q", answer_field="a", manners=["in_blanks"])
    with pytest.raises(ValueError, match=r"data.retain.manners must be \[\], found in_blanks: only rows to forget"):
        Pairing("p", own, other)
    for name in ("reworded", "ordinary"):
        with pytest.raises(ValueError, match=f"data.sets.{name}: a set must not be called like a role"):
            Pairing("p", other, own, sets={name: own})
