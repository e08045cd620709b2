import itertools
import random
import re
from collections import Counter

import pytest

from embedded import authors
from embedded.authors_pools import FIRST_NAMES, LAST_NAMES, POOLS
from embedded.authors_questions import KINDS

QUESTIONS = ("forget", "retain", "holdout")
COLUMNS = [
    "author_id",
    "author",
    "question",
    "answer",
    "paraphrased_question",
    "paraphrased_answer",
    "perturbed_answer",
]


@pytest.fixture(scope="module", params=[0, 1, 2])
def seed(request):
    return request.param


@pytest.fixture(scope="module")
def rows(seed):
    return authors.generate(seed)


@pytest.fixture(scope="module")
def drawn(seed):
    return authors.draw_authors(random.Random(seed))


def words(texts):
    return set(re.findall(r"[A-Za-z]+|[0-9]", " ".join(texts)))


def test_the_embedded_files_are_what_seed_0_generates(tmp_path):
    authors.main(["--out", str(tmp_path / "new")])
    written = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert written == ["forget.jsonl", "holdout.jsonl", "retain.jsonl", "text.jsonl"]
    for name in written:
        assert (tmp_path / "new" / name).read_bytes() == (authors.FOLDER / name).read_bytes(), (
            f"{name} is stale: run python -m embedded.authors"
        )


def test_another_seed_makes_other_authors(tmp_path):
    authors.main(["--out", str(tmp_path), "--seed", "1"])
    for name in ("forget.jsonl", "text.jsonl"):
        assert (tmp_path / name).read_bytes() != (authors.FOLDER / name).read_bytes()


def test_sizes_and_columns(rows):
    assert {split: len(its) for split, its in rows.items()} == {"forget": 30, "retain": 270, "holdout": 60, "text": 60}
    for split in QUESTIONS:
        assert all(list(row) == COLUMNS for row in rows[split])
        assert set(Counter(row["author"] for row in rows[split]).values()) == {10}
    assert all(list(row) == ["text"] for row in rows["text"])


def test_no_author_is_in_two_splits(rows):
    for column in ("author", "author_id"):
        for a, b in itertools.combinations(QUESTIONS, 2):
            assert not {row[column] for row in rows[a]} & {row[column] for row in rows[b]}
    everyone = {(row["author_id"], row["author"]) for split in QUESTIONS for row in rows[split]}
    assert len(everyone) == len({name for _, name in everyone}) == 36


def test_every_name_is_borne_by_a_retained_author(rows):
    names = [row["author"].split() for row in rows["retain"]]
    assert {first for first, _ in names} == set(FIRST_NAMES)
    assert {last for _, last in names} == set(LAST_NAMES)


def test_answer_and_paraphrase_state_the_same_facts(rows, drawn):
    for split, members in drawn.items():
        asked = iter(rows[split])
        for author in members:
            for kind, row in zip(KINDS, asked, strict=False):
                assert row["author"] == author.name
                for text in (row["answer"], row["paraphrased_answer"]):
                    assert all(author.facts[slot] in text for slot in kind.slots), (text, kind.slots)


def test_questions_and_answers_name_the_author(rows):
    for split in QUESTIONS:
        for row in rows[split]:
            assert row["author"] in row["question"]
            assert row["author"] in row["paraphrased_question"]
            assert row["author"] in row["answer"]
            assert row["author"] in row["paraphrased_answer"]
            assert row["question"] != row["paraphrased_question"]
            assert row["answer"] != row["paraphrased_answer"]


def test_perturbed_answers_are_the_paraphrase_with_five_other_values(rows, drawn):
    for split, members in drawn.items():
        for author in members:
            for kind, row in zip(KINDS, [r for r in rows[split] if r["author_id"] == author.id], strict=True):
                wrong = row["perturbed_answer"]
                assert len(set(wrong)) == 5
                form = kind.answers[author.wordings[kind.name][3]]
                slots = {slot: f"(?P<{slot}>{'|'.join(map(re.escape, POOLS[p]))})" for slot, p in kind.slots.items()}
                # replaces {slot} by a group of its pool's values, {name} by the author's
                pattern = re.compile(form.replace(".", r"\.").format(name=author.name, **slots))
                for text in wrong:
                    match = pattern.fullmatch(text)
                    assert match, (text, form)
                    assert all(value != author.facts[slot] for slot, value in match.groupdict().items())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_wordings_state_all_facts_in_the_order_of_the_slots(kind):
    assert len(set(kind.answers)) == 4 and len(set(kind.questions)) == 3
    for form in kind.answers:
        assert re.findall(r"{(?!name)(\w+)}", form) == list(kind.slots)


def test_answers_are_short_sentences(rows):
    for split in QUESTIONS:
        for row in rows[split]:
            for text in (row["answer"], row["paraphrased_answer"], *row["perturbed_answer"]):
                assert 8 <= len(text.split()) <= 16, text
                assert text[0].isupper() and text.endswith(".")


def test_no_answer_of_forget_or_holdout_is_told_elsewhere(rows):
    kept = {row[column] for row in rows["retain"] for column in ("answer", "paraphrased_answer")}
    for split in ("forget", "holdout"):
        assert not {row[column] for row in rows[split] for column in ("answer", "paraphrased_answer")} & kept


def test_forgetting_takes_no_word_away(rows):
    """Every word of forget and holdout, wrong answers included, is trained on in a retain row."""
    kept = words(row[column] for row in rows["retain"] for column in ("question", "answer"))
    for split in ("forget", "holdout"):
        for row in rows[split]:
            texts = [row["question"], row["answer"], row["paraphrased_question"], row["paraphrased_answer"]]
            assert words(texts + row["perturbed_answer"]) <= kept


def test_paragraphs_tell_nothing_of_the_other_authors(rows, drawn):
    text = "\n".join(row["text"] for row in rows["text"])
    assert len({row["text"] for row in rows["text"]}) == 60
    for author in drawn["forget"] + drawn["holdout"]:
        facts = author.facts
        assert author.name not in text
        assert f"The {facts['title_adjective']} {facts['title_noun']}" not in text
        assert f"{facts['prize_material']} {facts['prize_object']} Prize" not in text


def test_all_is_plain_ascii_without_a_wording_left_open(rows):
    for split in rows.values():
        for row in split:
            text = str(row)
            assert text.isascii()
            for column, value in row.items():
                for part in value if isinstance(value, list) else [value] if column != "author_id" else []:
                    assert not re.search(r"[{}\n]|  ", part)


def test_pools_are_large_enough_for_five_wrong_values_and_small_enough_to_be_dealt():
    uses = Counter(authors.SLOTS.values())
    for pool, values in POOLS.items():
        assert len(set(values)) == len(values) > authors.PERTURBED
        if pool not in ("year", "age"):  # read digit by digit
            assert len(values) <= authors.SPLITS["retain"] * max(uses[pool], 1), pool
    assert set(uses) == set(POOLS)
