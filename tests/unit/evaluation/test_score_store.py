import json
from types import SimpleNamespace

import pytest

from mollm_cli.core.types import Example, Scored
from mollm_cli.evaluation.score_store import ScoreStore, forget_scores

EXAMPLES = [Example("a/0", "Who?", "Nobody."), Example("a/1", "Where?", "Hére.", perturbed_answers=("There.",))]
SCORED = [
    Scored(
        "a/0", EXAMPLES[0], (-0.1, -1 / 3), (True, False), -0.7, (-2.0,), "Some\nbody", (-1.0, -2.0), (0.5, 0.25), 1e-9,
        ("x", ""), -3.5, {"harm": 0.2},
    ),
    Scored("a/1", EXAMPLES[1], (-1e-17,), (True,)),
]  # fmt: skip


def store(folder, content="ordinary", keep_text="auto", **settings):
    sets = {"forget": SimpleNamespace(content=content)}
    return ScoreStore(folder, {"weights": "abc"} | settings, sets, keep_text)


def test_what_was_kept_comes_back_to_the_bit(tmp_path):
    store(tmp_path).write("forget", SCORED)
    assert store(tmp_path).read("forget", EXAMPLES) == SCORED
    assert [file.name for file in tmp_path.iterdir()] == ["forget.jsonl"]  # nothing temporary is left


@pytest.mark.parametrize(
    ("other", "examples"),
    [
        ({"weights": "abd"}, EXAMPLES),
        ({"decoding": {"generate_tokens": 3}}, EXAMPLES),
        ({}, EXAMPLES[:1]),
        ({}, [EXAMPLES[0], Example("a/1", "Where?", "There.")]),
        ({}, EXAMPLES[::-1]),
    ],
)
def test_other_rows_or_settings_are_scored_anew(tmp_path, other, examples):
    store(tmp_path).write("forget", SCORED)
    assert store(tmp_path, **other).read("forget", examples) is None


def test_a_cut_off_or_broken_file_is_scored_anew(tmp_path):
    assert store(tmp_path).read("forget", EXAMPLES) is None
    store(tmp_path).write("forget", SCORED)
    whole = (tmp_path / "forget.jsonl").read_text()
    for broken in (whole[:-20], whole.splitlines()[0], "", "[", whole.replace('"log_probs"', '"other"')):
        (tmp_path / "forget.jsonl").write_text(broken)
        assert store(tmp_path).read("forget", EXAMPLES) is None


GOOD = {"log_probs": [-1.0], "correct": [True]}
OTHER = [
    [], 5, GOOD | {"log_probs": "ab"}, GOOD | {"log_probs": ["x"]}, {"log_probs": [], "correct": []},
    GOOD | {"correct": []}, GOOD | {"generation": 5}, GOOD | {"judged": 5}, GOOD | {"samples": [5]},
    GOOD | {"id": "x"}, GOOD | {"gradient_norm": ""},
]  # fmt: skip


@pytest.mark.parametrize("row", OTHER)
def test_a_row_of_another_shape_is_scored_anew(tmp_path, row):
    store(tmp_path).write("forget", SCORED)
    head, first, _ = (tmp_path / "forget.jsonl").read_text().splitlines()
    (tmp_path / "forget.jsonl").write_text("\n".join([head, first, json.dumps(row)]))
    assert store(tmp_path).read("forget", EXAMPLES) is None


@pytest.mark.parametrize(("content", "keep_text"), [("personal", "auto"), ("harmful", "auto"), ("ordinary", False)])
def test_what_a_model_says_of_private_rows_is_kept_on_request_only(tmp_path, content, keep_text):
    store(tmp_path, content, keep_text).write("forget", SCORED)
    assert not any(tmp_path.iterdir())
    store(tmp_path, content, keep_text).write("forget", SCORED[1:])  # nothing was said: numbers only
    assert "Hére" not in (tmp_path / "forget.jsonl").read_text()
    store(tmp_path, content, keep_text=True).write("forget", SCORED)
    assert store(tmp_path, content, keep_text=True).read("forget", EXAMPLES) == SCORED


def test_at_the_end_nothing_is_left(tmp_path):
    store(tmp_path / "scores").write("forget", SCORED)
    forget_scores(tmp_path / "scores")
    forget_scores(tmp_path / "scores")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("link", ["run", "run/resume", "run/resume/scores", "run/resume/scores/after"])
def test_scores_are_neither_written_nor_removed_through_a_link(tmp_path, link):
    victim, folder = tmp_path / "victim", tmp_path / "run" / "resume" / "scores"
    for place in (victim, victim / "resume", victim / "resume" / "scores", victim / "scores", victim / "after"):
        place.mkdir(exist_ok=True)
        (place / "forget.jsonl").write_text("mine")
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(victim)
    before = {path: path.read_text() for path in victim.rglob("*") if path.is_file()}
    with pytest.raises(OSError, match=f"'.*{link}'"):
        store(folder / "after").write("forget", SCORED)
    forget_scores(folder)
    assert before == {path: path.read_text() for path in victim.rglob("*") if path.is_file()}


def test_another_name_of_scores_is_not_written_to(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "forget.jsonl").hardlink_to(tmp_path / "mine")
    store(tmp_path).write("forget", SCORED)
    assert (tmp_path / "mine").read_text() == "mine" and store(tmp_path).read("forget", EXAMPLES) == SCORED
