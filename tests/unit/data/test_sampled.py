"""Datasets without a file: what the starting model is to write."""

from __future__ import annotations

import dataclasses

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.data.load_dataset import load
from mollm_cli.data.pairing import Pairing, load_roles


@pytest.fixture
def sampled(text):
    return lambda **changes: text(**{"name": "s", "from_model": 5, **changes})


def test_openings_are_taken_in_turn(sampled, tmp_path):
    openings = tmp_path / "openings.txt"
    openings.write_text("Once\nThe\n")
    for given in (["Once", "The"], str(openings)):
        loaded = load(sampled(openings=given), "retain")
        assert [e.prompt for e in loaded.examples] == ["Once", "The", "Once", "The", "Once"]
        assert loaded.fingerprint["rows"] == 5
    assert load(sampled(), "retain").examples[4] == Example("s:5", "", "")
    openings.write_text("")
    with pytest.raises(RequestError, match=r"data.retain.openings=.* must hold an opening a line, found none"):
        load(sampled(openings=str(openings)), "retain")


def test_a_path_wins(sampled, write):
    dataset = sampled(path=write("t.jsonl", {"text": "mine"}))
    assert not dataset.sampled
    assert [e.answer for e in load(dataset, "retain").examples] == ["mine"]


def test_texts_of_the_model_go_through_overlap_and_carving(sampled, text, write):
    def say(rows, role):
        assert role in ("retain", "mix.retain.more")
        return rows.keep(dataclasses.replace(e, answer=f"text {e.id}") for e in rows.examples)

    forget = text(name="f", path=write("f.jsonl", {"text": "text s:2"}, {"text": "other"}))
    mix = {"retain": {"more": sampled(name="m", from_model=2)}}
    pairing = Pairing("p", forget, sampled(), mix=mix, drop_overlap=True, test_share=0.25)
    loaded = load_roles(pairing, 0, answer=say)
    kept = [e.id for name in ("retain", "retain_test") for e in loaded[name].examples]
    assert sorted(kept) == ["s:1", "s:3", "s:4", "s:5"] and len(loaded["retain_test"].examples) == 1
    assert [e.answer for e in loaded["more"].examples] == ["text m:1", "text m:2"]


def test_what_cannot_be_is_refused(sampled, qa):
    for changes in ({"hub": "o/d", "split": "train"}, {"embedded": "x"}, {"windows": True}, {"filter": {"a": 1}}):
        with pytest.raises(ValueError, match="from_model is a source of its own, of kind=text"):
            sampled(**changes)
    with pytest.raises(ValueError, match="from_model is a source of its own, of kind=text"):
        qa(from_model=3)
    with pytest.raises(ValueError, match="from_model must be >= 1 or null, found 0"):
        sampled(from_model=0)
    with pytest.raises(ValueError, match=r"data.forget.from_model must be null, found 5: only retain"):
        Pairing("p", sampled(), qa(path="R"))
