"""Text of personal or harmful data stays out of the run directory and off the terminal unless it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from mollm_cli.configuration.programs import UNLEARN
from tests.support.cli import Answer, answer, read_lines, unlearn

SECRETS = ("Quibble", "Marzipan", "zyxw", "wxyz")
"""Words of the rows of ``two_files`` that stand nowhere else."""


def _found(run: Answer) -> set[str]:
    """Which of them stand in any file of the run, or on the terminal."""
    files = [file for file in run.run_dir.rglob("*") if file.is_file()]
    texts = [run.out, run.err, *(file.read_bytes().decode("latin-1") for file in files)]
    return {secret for secret in SECRETS for text in texts if secret in text}


@pytest.mark.parametrize("content", ["personal", "harmful"])
def test_text_that_is_not_ordinary_leaves_no_trace(content: str, root: Path, two_files: list[str]) -> None:
    kinds = [f"data.{role}.content={content}" for role in ("forget", "retain")]
    run = unlearn(root, *two_files, *kinds, "engine.evaluate_every=1", "tracker=tensorboard")
    assert run.code == 0, run.err
    assert _found(run) == set()
    samples = read_lines(run.run_dir / "samples.jsonl")
    assert {row["set"] for row in samples} == {"forget", "retain", "forget_test", "retain_test"}
    for row in samples:
        assert row.keys() == {"set", "id", "sha256", "before", "after", "oracle"}
        assert "generation" not in row["after"] and "probability" in row["after"]


@pytest.mark.parametrize(
    "overrides",
    [["data.forget.content=ordinary", "data.retain.content=ordinary"], ["evaluation.keep_text=true"]],
    ids=["ordinary", "asked for"],
)
def test_text_that_is_ordinary_or_asked_for_is_kept(overrides: list[str], root: Path, two_files: list[str]) -> None:
    run = unlearn(root, *two_files, *overrides)
    assert _found(run) == set(SECRETS)
    for row in read_lines(run.run_dir / "samples.jsonl"):
        assert row["prompt"].startswith("Quibble") and isinstance(row["after"]["generation"], str)


def test_a_run_that_is_refused_for_a_row_does_not_quote_it(root: Path, two_files: list[str]) -> None:
    run = unlearn(root, *two_files, "data.forget.max_tokens=3", "data.forget.template=none")
    assert run.code == 2 and "row 'forget:" in run.err
    assert _found(run) == set()


def _check(*typed: str) -> str:
    done = answer(UNLEARN, "--check", *typed)
    assert (done.code, done.out) == (0, ""), done.err
    return done.err


def test_check_shows_three_rows_a_role_with_their_targets_marked(root: Path) -> None:
    lines = _check(f"output_root={root}").splitlines()
    assert lines[0].startswith("forget: 30 rows, ") and lines[0].endswith(" of them targets")
    rows = {role: sum(f"  authors-{role}:" in line for line in lines) for role in ("forget", "retain", "holdout")}
    assert rows == {"forget": 3, "retain": 3, "holdout": 3}
    given, target = lines[2], lines[3]
    assert given.startswith("    given:  'In which town was ") and "<|end|>" not in given
    assert target.startswith("    target: [[' It was in ") and target.endswith("<|end|>']]")
    assert lines[-1] == "the request is in order; no model was loaded"
    assert not root.exists()


def test_check_withholds_text_that_is_not_ordinary(two_files: list[str]) -> None:
    shown = _check(*two_files)
    assert not any(secret in shown for secret in SECRETS)
    assert shown.count("[personal text withheld: ") == 4 * 3 * 2 - 2 * 4  # 1 row each in forget_test and retain_test
    assert "Marzipan" in _check(*two_files, "evaluation.keep_text=true")


def test_check_finds_what_a_run_would_refuse(two_files: list[str]) -> None:
    done = answer(UNLEARN, "--check", *two_files, "data.forget.path=nowhere.jsonl")
    assert done.code == 2 and "data.forget.path=nowhere.jsonl must be a file" in done.err
