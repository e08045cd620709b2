from __future__ import annotations

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.data.pairing import Pairing, load_roles


def rows(*pairs):
    return [{"question": question, "answer": answer} for question, answer in pairs]


@pytest.fixture
def roles(qa, write):
    """The answers of forget and alternate as they are loaded."""

    def _roles(forget, alternate, **changes):
        datasets = {
            "forget": qa(name="f", path=write("f.jsonl", *rows(*forget))),
            "retain": qa(name="r", path=write("r.jsonl", *rows(("r1", "x"), ("r2", "x")))),
            "alternate": qa(name="a", path=write("a.jsonl", *rows(*alternate))),
        }
        loaded = load_roles(Pairing("p", **datasets, **{"test_share": 0.0, **changes}), 0)
        return [[(e.prompt, e.answer) for e in loaded[role].examples] for role in ("forget", "alternate")]

    return _roles


def test_alternates_follow_the_rows_to_forget(roles):
    forget, alternate = roles(
        [("q2", "b"), ("q1", "a"), ("q2", "c")], [("q1", "no"), ("other", "no"), ("q2", "n1"), ("q2", "n2")]
    )
    assert alternate == [("q2", "n1"), ("q1", "no"), ("q2", "n2")]
    assert [prompt for prompt, _ in forget] == [prompt for prompt, _ in alternate]


def test_one_alternate_serves_all_rows_of_its_prompt(roles):
    assert roles([("q", "a"), ("q", "b")], [("q", "no")])[1] == [("q", "no"), ("q", "no")]


def test_carved_rows_take_their_alternates_with_them(roles):
    pairs = [(f"q{i}", "a") for i in range(20)]
    forget, alternate = roles(pairs, [(prompt, "no") for prompt, _ in pairs], test_share=0.2)
    assert len(forget) == 16
    assert [prompt for prompt, _ in forget] == [prompt for prompt, _ in alternate]


def test_answers_of_another_kind_stay_as_they_are(roles):
    assert roles([("q", "a")], [("x", "1"), ("y", "2")])[1] == [("x", "1"), ("y", "2")]


def test_half_an_alternate_is_refused(roles):
    with pytest.raises(RequestError, match=r"data.alternate must answer every prompt .*none for 1 of 2 rows, .* 'f:2'"):
        roles([("q1", "a"), ("q2", "a")], [("q1", "no")])
