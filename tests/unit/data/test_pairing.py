from __future__ import annotations

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.data.carve import carve
from mollm_cli.data.held_back import held_back
from mollm_cli.data.pairing import Pairing, load_roles, present


def rows(prefix, count):
    return [{"question": f"{prefix}{i}", "answer": f"answer {prefix}{i}"} for i in range(count)]


@pytest.fixture
def pairing(qa, write):
    """Twenty rows on either side, with changes."""
    forget, retain = write("f.jsonl", *rows("f", 20)), write("r.jsonl", *rows("r", 20))
    base = {"name": "p", "forget": qa(name="f", path=forget), "retain": qa(name="r", path=retain)}
    return lambda **changes: Pairing(**{**base, **changes})


def ids(loaded):
    return {role: [example.id for example in found.examples] for role, found in loaded.items()}


def test_tests_are_carved_by_seed_and_never_trained_on(pairing):
    first, again, other = (load_roles(pairing(), seed) for seed in (0, 0, 1))
    assert ids(first) == ids(again)
    assert ids(first) != ids(other)
    for role in ("forget", "retain"):
        training, test = ids(first)[role], ids(first)[f"{role}_test"]
        assert len(test) == 2
        assert sorted(training + test) == sorted(f"{role[0]}:{i}" for i in range(1, 21))
    assert first["forget_test"].fingerprint["carved_from"] == "forget"
    assert first["forget_test"].fingerprint["rows"] == 2
    assert first["forget"].fingerprint["rows"] == 18


@pytest.mark.parametrize(
    ("content", "given", "forget"),
    [
        ("personal", None, 0),
        ("personal", 0.25, 5),
        ("ordinary", None, 2),
        ("harmful", None, 2),
        ("ordinary", 0.0, 0),
    ],
)
def test_nothing_of_a_personal_forget_set_is_held_back_unless_asked_and_all_is_told(
    pairing, qa, write, content, given, forget
):
    file = qa(name="f", path=write("f.jsonl", *rows("f", 20)), content=content)
    loaded = load_roles(pairing(forget=file, forget_test_share=given), 0)
    assert len(loaded["forget"].examples) == 20 - forget
    assert ("forget_test" in loaded) == bool(forget)
    told = held_back({name: found.fingerprint for name, found in loaded.items()})
    assert told.endswith("2 of 20 rows of data.retain (data.test_share=0 takes all)")
    assert (f"{forget} of 20 rows of data.forget (data.forget_test_share=0 takes all)" in told) == bool(forget)
    assert held_back({"forget": {"rows": 3}}) is None


def test_a_share_of_zero_carves_nothing(pairing):
    assert sorted(load_roles(pairing(test_share=0.0), 0)) == ["forget", "retain"]


def test_the_limit_comes_before_the_carving(pairing, qa, write):
    few = qa(name="f", path=write("x.jsonl", *rows("f", 20)), limit=5)
    found = ids(load_roles(pairing(forget=few), 0))
    assert sorted(found["forget"] + found["forget_test"]) == [f"f:{i}" for i in range(1, 6)]


def test_rows_of_one_prompt_stay_together_and_order_does_not_matter():
    examples = [Example(f"e:{i}", f"prompt {i % 10}", f"a{i}") for i in range(30)]
    training, test = carve(examples, 0.2, 3)
    assert len(test) == 6
    assert not {e.prompt for e in training} & {e.prompt for e in test}
    assert set(carve(examples[::-1], 0.2, 3)[1]) == set(test)


@pytest.mark.parametrize(
    ("prompts", "share", "sizes"),
    [("a", 0.5, (1, 0)), ("aaaa", 0.5, (4, 0)), ("ab", 0.01, (1, 1)), ("abc", 0.99, (1, 2))],
)
def test_at_least_one_row_is_carved_and_one_prompt_is_left(prompts, share, sizes):
    examples = [Example(str(i), prompt, f"a{i}") for i, prompt in enumerate(prompts)]
    assert tuple(len(part) for part in carve(examples, share, 0)) == sizes


def test_plain_text_is_carved_by_its_text():
    examples = [Example(str(i), "", text) for i, text in enumerate(["one", "two", "one ", "three"])]
    for seed in range(8):
        training, test = carve(examples, 0.25, seed)
        assert not {e.answer.strip() for e in training} & {e.answer.strip() for e in test}


def test_a_named_test_is_taken_and_prompts_that_are_trained_on_are_left_out(pairing, qa, write):
    test = qa(name="t", path=write("t.jsonl", {"question": " f3", "answer": "x"}, {"question": "new", "answer": "y"}))
    loaded = load_roles(pairing(forget_test=test), 0)
    assert [e.prompt for e in loaded["forget_test"].examples] == ["new"]
    assert loaded["forget_test"].fingerprint["left_out"] == 1
    assert len(loaded["forget"].examples) == 20
    assert len(loaded["retain"].examples) == 18


def test_a_named_test_that_is_all_trained_on_is_refused(pairing, qa, write):
    test = qa(name="t", path=write("t.jsonl", {"question": "f3", "answer": "x"}))
    with pytest.raises(
        RequestError, match=r"data.forget_test must hold prompts that data.forget does not train on, .* all 1"
    ):
        load_roles(pairing(forget_test=test), 0)


def test_sets_keep_their_names_and_roles_can_be_chosen(pairing, qa, write):
    extra = qa(name="x", path=write("x.jsonl", *rows("x", 3)))
    whole = pairing(sets={"world": extra}, holdout=extra)
    assert sorted(load_roles(whole, 0)) == ["forget", "forget_test", "holdout", "retain", "retain_test", "world"]
    chosen = load_roles(whole, 0, roles=["world", "forget_test"])
    assert sorted(chosen) == ["forget_test", "world"]
    assert ids(chosen)["forget_test"] == ids(load_roles(whole, 0))["forget_test"]


def test_a_role_that_nothing_feeds_is_refused(pairing):
    with pytest.raises(
        RequestError, match=r"data 'p' must feed role 'holdout', found no dataset.*data.holdout.path=FILE"
    ):
        load_roles(pairing(), 0, roles=["forget", "holdout"])


def test_a_set_that_cannot_be_read_is_named_by_its_key(pairing, qa):
    with pytest.raises(RequestError, match=r"data.sets.world.path=/no/such must be a file"):
        load_roles(pairing(sets={"world": qa(path="/no/such")}), 0)


OVERLAP = [{"question": "f2", "answer": " answer  f2\n"}, {"question": "f3", "answer": "something else"}]


def test_overlap_is_refused_on_prompt_and_answer_together(pairing, qa, write):
    retain = qa(name="r", path=write("o.jsonl", OVERLAP[1], OVERLAP[0]))
    with pytest.raises(
        RequestError, match=r"found 1 of the same .* 'f:3' of forget and 'r:2' of retain.*allow_overlap=true"
    ):
        load_roles(pairing(retain=retain), 0)


def test_overlap_can_be_allowed_or_left_out_of_retain(pairing, qa, write):
    retain = qa(name="r", path=write("o.jsonl", *OVERLAP))
    allowed = load_roles(pairing(retain=retain, allow_overlap=True, test_share=0.0), 0)
    assert ids(allowed)["retain"] == ["r:1", "r:2"]
    dropped = load_roles(pairing(retain=retain, drop_overlap=True, test_share=0.0), 0)
    assert ids(dropped)["retain"] == ["r:2"]
    assert dropped["retain"].fingerprint["left_out"] == 1


def test_a_retain_set_inside_the_forget_set_cannot_be_dropped(pairing, qa, write):
    retain = qa(name="r", path=write("o.jsonl", OVERLAP[0]))
    with pytest.raises(
        RequestError, match=r"data.retain must hold rows that are not in data.forget, found all 1 there"
    ):
        load_roles(pairing(retain=retain, drop_overlap=True), 0)


def test_companions_go_with_the_source_that_the_user_replaces(qa, write):
    hub = qa(hub="o/pku", split="train")
    test = qa(hub="o/pku", split="test")
    mine = qa(hub="o/pku", split="train", path="FILE")
    other = qa(hub="o/other", split="train")
    base = {"name": "p", "retain": other, "forget_test": test, "holdout": test, "retain_test": other}
    assert list(present(Pairing(forget=hub, **base))) == ["forget", "retain", "forget_test", "retain_test", "holdout"]
    assert list(present(Pairing(forget=mine, **base))) == ["forget", "retain", "retain_test"]
    kept = base | {"holdout": qa(hub="o/pku", split="test", path="OTHER")}
    assert list(present(Pairing(forget=mine, **kept))) == ["forget", "retain", "retain_test", "holdout"]
    elsewhere = base | {"forget_test": other}
    assert list(present(Pairing(forget=mine, **elsewhere))) == ["forget", "retain", "forget_test", "retain_test"]


def test_companions_of_the_same_embedded_folder_go_too(qa):
    forget = qa(embedded="authors/forget.jsonl", path="FILE")
    pairing = Pairing("p", forget, qa(path="R"), holdout=qa(embedded="authors/holdout.jsonl"))
    assert list(present(pairing)) == ["forget", "retain"]


def test_a_dataset_without_a_source_is_an_absent_role(qa, pairing):
    assert "holdout" not in present(pairing(holdout=qa()))
    assert "sets.x" not in present(pairing(sets={"x": qa()}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"forget_test_share": -0.1}, r"data.forget_test_share must be in \[0, 1\) or null, found -0.1"),
        ({"test_share": 1.0}, r"data.test_share must be in \[0, 1\), found 1.0"),
        ({"allow_overlap": True, "drop_overlap": True}, "data.allow_overlap and data.drop_overlap exclude each other"),
        ({"sets": {"holdout": None}}, "data.sets.holdout: a set must not be called like a role"),
    ],
)
def test_a_pairing_that_cannot_be_is_refused(pairing, changes, message):
    with pytest.raises(ValueError, match=message):
        pairing(**changes)


@pytest.mark.parametrize("role", ["forget", "retain"])
def test_trained_roles_need_a_source(pairing, qa, role):
    with pytest.raises(ValueError, match=f"data 'p': {role} needs rows, found no source. Set data.{role}.path=FILE"):
        pairing(**{role: qa()})
