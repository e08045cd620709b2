"""An evaluation that was cut off goes on: sets that were scored are not scored again, and the numbers are the same."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.evaluation import scoring
from tests.support.cli import Answer, evaluate, read_lines, unlearn

ORACLE = "evaluation.oracle=embedded:oracle"


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of the sets that were scored; ``cut`` in it: at which one SIGTERM comes."""
    honest, seen = scoring.score, {"names": [], "cut": None}

    def watched(model: Any, encoder: Any, name: str, *rest: Any) -> Any:
        if len(seen["names"]) == seen["cut"]:
            signal.raise_signal(signal.SIGTERM)
        seen["names"].append(name)
        return honest(model, encoder, name, *rest)

    monkeypatch.setattr(scoring, "score", watched)
    return seen


def _same(again: Answer, whole: Answer) -> None:
    assert again.code == 0, again.err
    assert again.metrics == whole.metrics
    assert read_lines(again.run_dir / "samples.jsonl") == read_lines(whole.run_dir / "samples.jsonl")
    assert again.manifest["status"] == "completed" and not (again.run_dir / "resume" / "scores").exists()


@pytest.mark.slow
def test_an_evaluation_goes_on_after_the_sets_it_has(root: Path, scored: dict[str, Any]) -> None:
    whole = evaluate(root, ORACLE)
    names, scored["names"][:] = list(scored["names"]), []
    scored["cut"] = len(names) - 2  # the oracle's are done, and the first ones of the model's
    cut = evaluate(root, ORACLE)
    assert cut.code == 143 and cut.manifest["status"] == "interrupted"
    assert not (cut.run_dir / "metrics.json").exists()
    scored["cut"], scored["names"][:] = None, []
    again = evaluate(root, ORACLE, f"resume={cut.run_dir}")
    assert scored["names"] == names[-2:]
    assert again.run_dir == cut.run_dir
    _same(again, whole)


def test_resume_auto_starts_goes_on_and_is_done(root: Path, scored: dict[str, Any]) -> None:
    where = ("resume=auto", f"run_dir={root / 'one'}")
    scored["cut"] = 2
    assert evaluate(root, *where).code == 143
    scored["cut"] = None
    assert evaluate(root, *where).code == 0
    count = len(scored["names"])
    assert evaluate(root, *where).code == 0 and len(scored["names"]) == count


@pytest.mark.slow
def test_an_unlearning_run_that_was_cut_off_before_its_first_step_goes_on(root: Path, scored: dict[str, Any]) -> None:
    whole = unlearn(root)
    count = len(scored["names"]) // 2  # before and after
    scored["names"][:], scored["cut"] = [], 1
    cut = unlearn(root)
    assert cut.code == 143
    scored["names"][:], scored["cut"] = [], None
    again = unlearn(root, f"resume={cut.run_dir}")
    _same(again, whole)
    assert len(scored["names"]) == 2 * count - 1


@pytest.mark.slow
def test_one_that_was_cut_off_in_its_last_evaluation_trains_no_more(root: Path, scored: dict[str, Any]) -> None:
    whole = unlearn(root)
    total = len(scored["names"])
    scored["names"][:], scored["cut"] = [], total - 1
    cut = unlearn(root)
    assert cut.code == 143 and len(cut.steps) == 3
    scored["names"][:], scored["cut"] = [], None
    again = unlearn(root, f"resume={cut.run_dir}")
    assert len(scored["names"]) == 1 and len(again.steps) == 3
    _same(again, whole)
