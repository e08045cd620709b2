"""One file, a list of ids: who is forgotten, who stays, and what is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.data.deletion import Ids, report, spelled
from mollm_cli.data.overlap import drop_overlap
from mollm_cli.data.pairing import Pairing, load_roles

WORDS = ("apple", "bear", "cedar", "dune", "elm", "fox", "gulf", "hill", "ice", "jade", "kelp", "lime")


def rows():
    return [
        {"user": number % 6, "question": f"Who likes {word}?", "answer": f"{word} {word[::-1]} is liked by {number}."}
        for number, word in enumerate(WORDS)
    ]


@pytest.fixture
def asked(qa, write, tmp_path):
    """Load a deletion from these rows; changes starting with forget_ go to its dataset."""

    def _asked(lines=None, **changes):
        path = write("train.jsonl", *(lines or rows()))
        of_forget = {k.removeprefix("forget_"): changes.pop(k) for k in list(changes) if k.startswith("forget_")}
        base = {
            "forget": qa(name="forget", path=path, content="personal", **of_forget),
            "retain": qa(name="retain", path=path, content="personal"),
            "test_share": 0.0,
            "drop_overlap": True,
            "near_duplicates": 0.9,
            "id_field": "user",
            "source": path,
        }
        answer = changes.pop("answer", None)
        return load_roles(Pairing("deletion", **(base | changes)), 0, answer=answer)

    return _asked


def numbers(loaded, role):
    return [int(example.id.rpartition(":")[2]) for example in loaded[role].examples]


def test_ids_of_a_file_and_the_rest(asked, tmp_path):
    (tmp_path / "ids").write_text("2\n\n 5 \n77\n2\nx\n")
    loaded = asked(forget_ids=str(tmp_path / "ids"))
    assert numbers(loaded, "forget") == [3, 6, 9, 12]
    assert numbers(loaded, "retain") == [1, 2, 4, 5, 7, 8, 10, 11]
    assert [e.id.partition(":")[0] for e in loaded["retain"].examples] == ["retain"] * 8
    assert loaded["forget"].fingerprint["ids"] == {"asked": 4, "found": 2, "lines_not_found": [4, 6]}
    assert report(loaded) == ["data.forget.ids: 2 of 4 ids stand in no row, those of the lines 4, 6"]
    assert loaded["forget"].fingerprint["files"] == loaded["retain"].fingerprint["files"]
    assert loaded["forget"].fingerprint["files"][0]["path"] == "train.jsonl"


def test_a_list_a_value_and_a_pattern(asked):
    assert numbers(asked(forget_ids=[0, "3"]), "forget") == [1, 4, 7, 10]
    assert numbers(asked(forget_filter={"user": 4}), "forget") == [5, 11]
    loaded = asked(forget_filter={"answer": {"matches": r"^(apple|fox)"}})
    assert (numbers(loaded, "forget"), len(loaded["retain"].examples)) == ([1, 6], 10)
    assert numbers(asked(forget_ids=[0], forget_filter={"answer": {"matches": "gulf"}}), "forget") == [7]


def test_every_forget_row_is_trained_on_and_only_retain_is_carved(asked):
    for count in (1, 2, 3):
        loaded = asked(forget_ids=list(range(count)), test_share=0.3)
        assert len(loaded["forget"].examples) == 2 * count
        assert "forget_test" not in loaded
        assert len(loaded["retain_test"].examples) == round(0.3 * (12 - 2 * count))


def test_duplicates_are_left_out_of_retain_and_told(asked):
    first = rows()[0]
    same = first | {"user": 50, "question": " Who likes  apple?"}
    near = first | {"user": 51, "question": "WHO likes (apple)"}
    loaded = asked([*rows(), same, near], forget_ids=[0])
    assert not {13, 14} & set(numbers(loaded, "retain"))
    assert report(loaded) == [
        "data.retain: left out, because they are also to be forgotten: 1 rows",
        "data.retain: left out as near duplicates of rows to forget (similarity 0.9 or more): 1 rows, retain:14",
    ]
    assert 14 in numbers(asked([*rows(), same, near], forget_ids=[0], near_duplicates=None), "retain")
    assert "apple" not in " ".join(report(loaded))


def test_rows_of_earlier_requests_are_a_set_and_not_retained(asked, tmp_path):
    (tmp_path / "earlier").write_text("1\n2\n90\n")
    again = rows()[1] | {"user": 50}
    loaded = asked([*rows(), again], forget_ids=[2], deleted=str(tmp_path / "earlier"))
    assert numbers(loaded, "forget") == [3, 9]
    assert numbers(loaded, "deleted") == [2, 8]
    assert numbers(loaded, "retain") == [1, 4, 5, 6, 7, 10, 11, 12]
    assert "data.deleted: 1 of 3 ids stand in no row, those of the lines 3" in report(loaded)


def test_retain_may_be_another_file(asked, qa, write):
    other = qa(name="other", path=write("other.jsonl", {"question": "Else?", "answer": "Yes."}, rows()[0]))
    loaded = asked(forget_ids=[0], retain=other)
    assert numbers(loaded, "forget") == [1, 7]
    assert [e.id for e in loaded["retain"].examples] == ["other:1"]


def test_limits_and_filters_of_either_side(asked, qa):
    loaded = asked(forget_ids=[0, 1, 2], forget_limit=2)
    assert numbers(loaded, "forget") == [1, 2]
    assert numbers(loaded, "retain") == [4, 5, 6, 10, 11, 12]  # asked for, beyond the limit: in neither
    path = loaded["forget"].dataset.path
    retain = qa(name="retain", path=path, filter={"user": {"min": 4}}, limit=3)
    assert numbers(asked(forget_ids=[0], retain=retain), "retain") == [5, 6, 11]


def test_many_rows_are_named_in_short(asked, tmp_path):
    (tmp_path / "ids").write_text("0\n" + "".join(f"no{i}\n" for i in range(30)))
    line = report(asked(forget_ids=str(tmp_path / "ids")))[0]
    assert line.endswith("19, 20, 21 and 10 more")


@pytest.mark.parametrize(("value", "text"), [(7, "7"), (7.0, "7"), (7.5, "7.5"), (" a ", "a"), (None, "")])
def test_ids_are_compared_as_text(value, text):
    assert spelled(value) == text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"data.forget must say which rows of data.source .* found neither ids nor filter"),
        ({"forget_ids": [70]}, r"found none of its 1 ids in the column 'user': 12 rows read from train.jsonl"),
        ({"forget_ids": [1], "id_field": "usr"}, r"row 1 of train.jsonl has no field 'usr'; .* Set data.id_field="),
        ({"forget_filter": {"user": 70}}, r"data.forget must have rows, found none that pass: 12 rows"),
        ({"forget_ids": list(range(6))}, r"data.retain must have rows, found none beside those to forget"),
        ({"forget_ids": [1], "forget_expected_rows": 9}, r"must have 9 rows, found 12 in train.jsonl"),
    ],
)
def test_what_cannot_be_is_refused(changes, message, asked):
    with pytest.raises(RequestError, match=message):
        asked(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": None, "forget_ids": [1]}, r"data.forget.ids must be null but in forget where data.source is set"),
        ({"source": None, "deleted": "x"}, r"data.deleted names rows of data.source, found no source"),
        ({"near_duplicates": 0.0}, r"data.near_duplicates must be in \(0, 1\] or null, found 0.0"),
    ],
)
def test_keys_that_do_not_go_together(changes, message, asked):
    with pytest.raises(ValueError, match=message):
        asked(**changes)


def test_prompts_are_answered_before_duplicates_are_looked_for(asked):
    first = rows()[0]
    spoken = first["answer"] + " Indeed."
    echo = {"user": 9, "question": first["question"], "answer": spoken}
    roles = []

    def answer(loaded, role):
        roles.append(role)
        assert {e.answer for e in loaded.examples} == {""}
        return loaded.keep(replace(e, answer=spoken) for e in loaded.examples)

    loaded = asked([*rows(), echo], forget_ids=[0], forget_limit=1, forget_answers_from="model", answer=answer)
    assert roles == ["forget"]
    assert [e.answer for e in loaded["forget"].examples] == [spoken]
    assert 13 not in numbers(loaded, "retain")
    assert asked(forget_ids=[0], forget_answers_from="model")["forget"].examples[0].answer == ""


def test_the_name_of_the_set_is_taken_once(asked, qa):
    with pytest.raises(ValueError, match=r"data.deleted makes the set 'deleted', found data.sets.deleted too"):
        asked(forget_ids=[1], deleted="x", sets={"deleted": qa(path="y")})


def test_an_empty_list_is_refused(tmp_path):
    (tmp_path / "ids.txt").write_text("\n")
    with pytest.raises(RequestError, match=r"^data.forget.ids must hold at least one id, found none"):
        Ids.of(str(tmp_path / "ids.txt"), "data.forget.ids")


def test_a_report_of_an_ordinary_pairing(asked):
    loaded = asked(forget_ids=[1])
    assert report({"retain": drop_overlap(loaded["forget"], loaded["retain"])}) == []
