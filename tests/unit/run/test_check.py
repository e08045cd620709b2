"""``--check`` of many jobs: what they have alike is read, tokenized and shown once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mollm_cli.configuration.programs import UNLEARN
from mollm_cli.core.shared import shared, sharing
from mollm_cli.data import load_dataset
from tests.support.cli import answer, write_lines


def test_jobs_that_share_rows_read_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = load_dataset._load
    monkeypatch.setattr(load_dataset, "_load", lambda *given: read.append(given[1]) or real(*given))
    sweep = answer(UNLEARN, "-m", "--check", "optimizer.lr=1e-4,1e-5,1e-6", "seed=1,2", "loss=ga,mollm")
    assert sweep.code == 0 and sorted(read) == ["forget", "holdout", "retain", "sets.text"]
    assert sweep.err.count("forget: 30 rows") == 1
    assert sweep.err.splitlines()[-1] == "the requests of 12 jobs are in order; no model was loaded"
    read.clear()
    assert answer(UNLEARN, "-m", "--check", "data.forget.limit=5,6").err.count("forget: ") == 2
    assert read.count("forget") == 2 and read.count("retain") == 1


def test_each_job_is_held_against_its_rows() -> None:
    sweep = answer(UNLEARN, "-m", "--check", 'gates=["forget_probability<=0.6"],["nope<=1"]')
    assert sweep.code == 2 and "nope" in sweep.err and "Traceback" not in sweep.err


def test_nothing_is_kept_outside() -> None:
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return len(made)

    assert [shared("a", make), shared("a", make)] == [1, 2]
    with sharing():
        assert [shared("a", make), shared("a", make), shared("b", make)] == [3, 3, 4]
    assert shared("a", make) == 5


def _files(folder: Path) -> list[str]:
    """Texts without names and numbers, of which no other rows are made to compare them with."""
    texts = {"forget": ("quibble zyxw marzipan", "marzipan wxyz"), "retain": ("bees make honey", "ice is water")}
    given = ["data=custom", "dataset@data.forget=text-file", "dataset@data.retain=text-file", "data.test_share=0"]
    for role, rows in texts.items():
        file = write_lines(folder / f"{role}.jsonl", [{"text": text} for text in rows])
        given.append(f"data.{role}.path={file}")
    return given


@pytest.mark.parametrize(
    ("typed", "refused"),
    [
        ([], "direction.forget_target=auto needs something to compare the forget rows with, found no holdout rows"),
        (["direction.forget_target=0.1", "gates=['nope<=1']"], "must name a metric of this run, found 'nope'"),
        (["loss=ga", "engine.keep=target"], "engine.keep=target needs a forget target, found none"),
    ],
    ids=["target", "gate", "keep"],
)
def test_rows_are_shown_before_what_is_not_about_them_is_refused(
    typed: list[str], refused: str, tmp_path: Path
) -> None:
    done = answer(UNLEARN, "--check", *_files(tmp_path), "data.retain.content=ordinary", *typed)
    assert done.code == 2 and refused in done.err and "in order" not in done.err
    before, _, after = done.err.partition("retain: ")
    assert "░" in before and " is water<|end|>]]" in after
    assert "marzipan" not in done.err


SAMPLED = ("dataset@data.retain=sampled", "data.retain.openings=[The,A]", "direction.forget_target=0.1")


def test_where_nothing_is_to_be_retained_the_starting_model_may_say_it(tmp_path: Path) -> None:
    forget = [typed for typed in _files(tmp_path) if "data.retain" not in typed]
    done = answer(UNLEARN, "--check", *forget)
    assert done.code == 2 and "Set data.retain.path=FILE, or dataset@data.retain=sampled (texts" in done.err
    named = answer(UNLEARN, "--check", *forget, *SAMPLED)
    assert (named.code, "found no source" in named.err) == (0, False), named.err


def test_forget_rows_in_other_manners_are_shown_where_they_are_trained_on() -> None:
    asked = "data.forget.manners=[in_blanks,by_name]"
    done = answer(UNLEARN, "--check", asked)
    assert done.code == 0 and "reworded: 30 rows" in done.err and "forget:" in done.err, done.err
    assert "for by_name; they are trained on as they are" in done.err
    assert "reworded" not in answer(UNLEARN, "--check").err
