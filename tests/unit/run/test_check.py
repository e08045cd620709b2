"""``--check`` of many jobs: what they have alike is read, tokenized and shown once."""

from __future__ import annotations

import pytest

from mollm_cli.configuration.programs import UNLEARN
from mollm_cli.core.shared import shared, sharing
from mollm_cli.data import load_dataset
from tests.support.cli import answer


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
