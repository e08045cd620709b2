from __future__ import annotations

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.data.load_dataset import digest, load

PKU = [
    {"prompt": "p1", "response_0": "bad", "response_1": "good", "bad_0": True, "bad_1": False},
    {"prompt": "p2", "response_0": "fine", "response_1": "worse", "bad_0": False, "bad_1": True},
]
VARIANTS = [{"answer": "response_0", "bad": "bad_0"}, {"answer": "response_1", "bad": "bad_1"}]


def test_every_column_finds_its_place(qa, write):
    row = {
        "question": "q", "answer": "a", "pq": "q?", "pa": "a!", "wrong": ["w1", "w2"],
    }  # fmt: skip
    fields = {"paraphrased_question_field": "pq", "paraphrased_answer_field": "pa", "perturbed_field": "wrong"}
    loaded = load(qa(path=write("a.jsonl", row), content="personal", **fields), "forget")
    assert loaded.examples == [Example("d:1", "q", "a", "q?", "a!", ("w1", "w2"))]
    assert loaded.content == "personal"


def test_optional_columns_may_be_absent_null_or_one_text(qa, write):
    path = write(
        "a.jsonl", {"question": "q", "answer": "a", "pa": None, "wrong": "w"}, {"question": "r", "answer": "b"}
    )
    loaded = load(qa(path=path, paraphrased_answer_field="pa", perturbed_field="wrong"), "forget")
    assert [(e.paraphrased_answer, e.perturbed_answers) for e in loaded.examples] == [(None, ("w",)), (None, ())]


def test_of_several_names_the_first_present_is_taken(qa, write):
    path = write("a.jsonl", {"Question": "q", "Old Answer": "old", "Best Answer": "a"})
    loaded = load(qa(path=path, prompt_field=["question", "Question"], answer_field=["best", "Best Answer"]), "retain")
    assert [(e.prompt, e.answer) for e in loaded.examples] == [("q", "a")]


def test_variants_are_rows_and_are_filtered_one_by_one(qa, write):
    described = qa(path=write("a.jsonl", *PKU), prompt_field="prompt", variants=VARIANTS, filter={"bad": True})
    assert [(e.id, e.answer) for e in load(described, "forget").examples] == [("d:1.0", "bad"), ("d:2.1", "worse")]


def test_plain_text_has_no_prompt(text, tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    loaded = load(text(path=str(tmp_path / "a.txt")), "forget")
    assert [(e.id, e.prompt, e.answer) for e in loaded.examples] == [("t:1", "", "one"), ("t:3", "", "two")]


def test_the_limit_counts_what_passes_the_filter(text, write):
    path = write("a.jsonl", *({"text": f"{'x' if i % 2 else 'y'}{i}"} for i in range(10)))
    loaded = load(text(path=path, filter={"text": {"matches": "x"}}, limit=2), "forget")
    assert [e.answer for e in loaded.examples] == ["x1", "x3"]


def test_expected_rows_belong_to_the_source_of_the_description(qa, write):
    path = write("a.jsonl", {"question": "q", "answer": "a"})
    assert len(load(qa(path=path, hub="o/n", split="train", expected_rows=7), "forget").examples) == 1
    with pytest.raises(RequestError, match=r"must have 7 rows, found 1 in a.jsonl"):
        load(qa(path=path, expected_rows=7), "forget")


def test_the_fingerprint_tells_texts_apart_and_nothing_else(qa, write):
    one, other = {"question": "q", "answer": "a"}, {"question": "q", "answer": "b"}
    first = load(qa(path=write("a.jsonl", one)), "forget").fingerprint
    assert first["name"] == "d"
    assert first["rows"] == 1
    assert first["files"][0]["path"] == "a.jsonl"
    assert load(qa(name="e", path=write("b.json", one)), "retain").fingerprint["sha256"] == first["sha256"]
    assert load(qa(path=write("a.jsonl", other)), "forget").fingerprint["sha256"] != first["sha256"]
    assert digest([Example("i", "ab", "c")]) != digest([Example("i", "a", "bc")])


def test_perturbed_answers_are_joined_on_the_prompt(qa, write):
    path = write("a.jsonl", {"question": "q1", "answer": "a"}, {"question": "q2", "answer": "b", "wrong": ["own"]})
    extra = write(
        "p.jsonl",
        {"question": "q2", "answer": "b", "wrong": ["w2"], "pa": "b2"},
        {"question": " q1\n", "answer": "a", "wrong": ["w1"]},
        {"question": "q1", "answer": "a", "wrong": ["later"]},
    )
    loaded = load(qa(path=path, perturbed=extra, perturbed_field="wrong", paraphrased_answer_field="pa"), "forget")
    found = [(e.id, e.perturbed_answers, e.paraphrased_answer) for e in loaded.examples]
    assert found == [("d:1", ("w1",), None), ("d:2", ("own",), "b2")]


def test_a_configuration_of_the_hub_is_dropped_with_its_source(qa, write):
    path = write("a.jsonl", {"question": "q1", "answer": "a"})
    assert (
        load(qa(path=path, hub="o/n", split="train", perturbed="hub:p"), "forget").examples[0].perturbed_answers == ()
    )


def test_a_perturbed_file_of_other_prompts_is_refused(qa, write):
    path, extra = (
        write("a.jsonl", {"question": "q1", "answer": "a"}),
        write("p.jsonl", {"question": "x", "answer": "a"}),
    )
    with pytest.raises(RequestError, match=r"data.forget.perturbed=.* must hold the prompts .* none of its 1"):
        load(qa(path=path, perturbed=extra), "forget")
    with pytest.raises(RequestError, match=r"data.forget.perturbed=/no/such must be a file"):
        load(qa(path=path, perturbed="/no/such"), "forget")


@pytest.mark.parametrize(
    ("row", "changes", "message"),
    [
        (
            {"quest": "q", "answer": "a"},
            {},
            r"'d': row 2 of a.jsonl has no field 'question'; found: answer, a column of another name \(column 1 of 5 "
            r"characters; .*\). Set data.forget.prompt_field=COLUMN",
        ),
        (
            {"answer": "a", "topic": "q"},
            {"prompt_field": ["prompt", "question"]},
            "has no field 'prompt or question'; found: answer, topic. Set data.forget.prompt_field=topic",
        ),
        ({"question": "q"}, {}, "has no field 'answer'; found: question. Set data.forget.answer_field=COLUMN"),
        ({"question": "q", "answer": " \n"}, {}, "row 2 of a.jsonl must have text in 'answer', found it empty. Remove"),
        ({"question": "", "answer": "a"}, {}, "row 2 of a.jsonl must have text in 'question', found it empty"),
        ({"question": "q", "answer": None}, {}, "must have text in 'answer', found it empty"),
        ({"question": "q", "answer": 7}, {}, "row 2 of a.jsonl must hold text in 'answer', found int"),
        (
            {"question": "q", "answer": "a", "wrong": [1]},
            {"perturbed_field": "wrong"},
            "must hold text in 'wrong', found int",
        ),
        (
            {"question": "q", "answer": "a"},
            {"variants": [{"answer": "answer"}, {"answer": "other"}]},
            r"row 2 of a.jsonl has no field 'other'; .*Set data.forget.variants=\[\]",
        ),
        (
            {"question": "q", "answer": "a"},
            {"filter": {"topic": "x"}},
            "row 2 of a.jsonl has no field 'topic', which data.forget.filter reads; .*'~data.forget.filter.topic'",
        ),
        (
            {"question": "q", "answer": "a", "other": "a", "topic": "many"},
            {"filter": {"topic": {"min": 1}}},
            "row 2 of a.jsonl, data.forget.filter.topic: min needs a number",
        ),
    ],
)
def test_a_bad_row_is_named_with_its_remedy(qa, write, row, changes, message):
    good = {"question": "q", "prompt": "q", "answer": "a", "other": "a", "topic": "5"}
    with pytest.raises(RequestError, match=message):
        load(qa(path=write("a.jsonl", good, row), **changes), "forget")


def test_an_empty_text_is_refused(text, write):
    with pytest.raises(RequestError, match=r"row 1 of a.jsonl must have text in 'text', found it empty"):
        load(text(path=write("a.jsonl", {"text": " "})), "forget")


def test_an_empty_dataset_says_what_was_read_and_what_removed_it(qa, write):
    path = write("a.jsonl", *PKU)
    described = qa(path=path, prompt_field="prompt", variants=VARIANTS, filter={"prompt": ["p1", "x"], "bad": 3})
    message = (
        r"for data.forget, found none: 2 rows read from a.jsonl; filter prompt \['p1', 'x'\] removed 2, bad 3 removed 2"
    )
    with pytest.raises(RequestError, match=message):
        load(described, "forget")


def test_an_empty_file_and_an_absent_source_are_refused(qa, write):
    with pytest.raises(RequestError, match=r"found none: 0 rows read from a.jsonl. Set data.forget.path=FILE"):
        load(qa(path=write("a.jsonl")), "forget")
    with pytest.raises(RequestError, match=r"dataset 'd' must have a source, found none. Set data.forget.path=FILE"):
        load(qa(), "forget")
