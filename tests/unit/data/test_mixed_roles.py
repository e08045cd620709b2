"""Sets mixed into retain: read, held against the forget rows and the tests, and kept apart in the fingerprints."""

from __future__ import annotations

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.data.deletion import report
from mollm_cli.data.pairing import Pairing, load_roles, mixture, present


def rows(prefix, count):
    return [{"question": f"{prefix}{i}", "answer": f"answer {prefix}{i}"} for i in range(count)]


@pytest.fixture
def mixed(qa, write):
    """Ten rows on either side and more mixed into retain, with changes to the pairing."""

    def _mixed(extra, weight=1.0, **changes):
        more = qa(name="x", path=write("x.jsonl", *extra), weight=weight)
        base = {
            "name": "p",
            "forget": qa(name="f", path=write("f.jsonl", *rows("f", 10))),
            "retain": qa(name="r", path=write("r.jsonl", *rows("r", 10)), weight=2.0),
            "mix": {"retain": {"extra": more}},
        }
        return Pairing(**{**base, **changes})

    return _mixed


def ids(loaded, name):
    return [example.id for example in loaded[name].examples]


def test_a_mixed_set_is_read_under_its_name(mixed):
    pairing = mixed(rows("x", 3), weight=0.5)
    assert list(present(pairing)) == ["forget", "retain", "mix.retain.extra"]
    assert mixture(pairing) == {"retain": 2.0, "extra": 0.5}
    loaded = load_roles(pairing, 0)
    assert ids(loaded, "extra") == ["x:1", "x:2", "x:3"]
    assert loaded["extra"].fingerprint["mixed_into"] == "retain"
    assert loaded["extra"].fingerprint["name"] == "x" and loaded["retain"].fingerprint["rows"] == 9
    assert list(load_roles(pairing, 0, roles=["retain"])) == ["retain"]


def test_an_empty_mixed_set_is_absent(mixed, qa):
    assert mixture(mixed([], mix={"retain": {"extra": qa()}})) == {"retain": 2.0}


def test_what_is_to_be_forgotten_is_not_mixed_in(mixed):
    extra = [*rows("f", 2), *rows("x", 2)]
    with pytest.raises(RequestError, match=r"data.forget and data.mix.retain.extra must share no row, found 2 .*'x:1'"):
        load_roles(mixed(extra), 0)
    loaded = load_roles(mixed(extra, drop_overlap=True), 0)
    assert ids(loaded, "extra") == ["x:3", "x:4"]
    assert report(loaded) == ["data.mix.retain.extra: left out, because they are also to be forgotten: 2 rows"]
    assert ids(load_roles(mixed(extra, allow_overlap=True), 0), "extra") == ["x:1", "x:2", "x:3", "x:4"]
    with pytest.raises(RequestError, match=r"data.mix.retain.extra must hold rows that are not in data.forget, .* 2"):
        load_roles(mixed(rows("f", 2), drop_overlap=True), 0)


def test_near_duplicates_are_looked_for_in_mixed_sets(mixed):
    extra = [{"question": "F1!", "answer": "Answer f1."}, *rows("x", 1)]
    loaded = load_roles(mixed(extra, near_duplicates=0.9), 0)
    assert ids(loaded, "extra") == ["x:2"]
    assert "data.mix.retain.extra: left out as near duplicates" in report(loaded)[0]
    with pytest.raises(RequestError, match=r"data.mix.retain.extra must hold rows that are no near .* found all 1"):
        load_roles(mixed(extra[:1], near_duplicates=0.9), 0)


def test_no_prompt_that_is_tested_is_mixed_in(mixed):
    loaded = load_roles(mixed([{"question": f"r{i}", "answer": "another"} for i in range(10)], test_share=0.3), 0)
    tested = {example.prompt for example in loaded["retain_test"].examples}
    assert len(tested) == 3
    assert {example.prompt for example in loaded["extra"].examples} == {f"r{i}" for i in range(10)} - tested
    assert loaded["extra"].fingerprint["tested"] == 3


def test_a_mixed_set_of_tested_prompts_only_is_refused(mixed, qa, write):
    test = qa(name="t", path=write("t.jsonl", *rows("x", 2)))
    with pytest.raises(
        RequestError, match=r"data.mix.retain.extra must hold prompts that data.retain_test does not ask"
    ):
        load_roles(mixed(rows("x", 2), retain_test=test), 0)


def test_what_cannot_be_mixed_is_refused(mixed, qa):
    with pytest.raises(ValueError, match=r"data.mix takes sets for retain, found data.mix.forget"):
        mixed([], mix={"forget": {"extra": qa(path="F")}})
    for name in ("forget_test", "world", "deleted"):
        with pytest.raises(ValueError, match=f"data.mix.retain.{name}: its name is that of a role or a set"):
            mixed([], mix={"retain": {name: qa(path="F")}}, sets={"world": qa(path="W")})
    with pytest.raises(ValueError, match=r"data.holdout.weight must be 1, found 2.0: only retain and data.mix"):
        mixed([], holdout=qa(path="H", weight=2.0))
    with pytest.raises(ValueError, match=r"weight must be > 0, found 0"):
        qa(weight=0.0)
