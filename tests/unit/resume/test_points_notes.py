"""What a resume point notes beside the history, and what is refused, or told, when it is gone on with."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from mollm_cli.core.doing import Unwatched
from mollm_cli.core.errors import RequestError
from mollm_cli.engine.micro_batches import MicroBatches
from mollm_cli.engine.selection import History, Selection
from mollm_cli.engine.step import Stepper
from mollm_cli.losses.mollm import mollm
from mollm_cli.resume.resume_points import ResumePoints
from mollm_cli.run.logs import Logs
from mollm_cli.run.training import _said_of_start
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.trackers.none import Silent
from tests.support.cli import read
from tests.support.steps import stepper
from tests.support.tiny import llama


def _stepper() -> Stepper:
    model = llama()
    made: Stepper = stepper(model, mollm(), DualSpaceMGDA(), optimizer=torch.optim.AdamW(model.parameters(), 1e-3))
    return made


def _points(folder: Path, **given: Any) -> ResumePoints:
    return ResumePoints(folder / "resume", _stepper(), History(Selection("target", 0.5)), **given)


def test_what_the_numbers_depend_on_must_be_the_same(tmp_path: Path) -> None:
    noted = {"seed": 1, "optimizer.betas": (0.9, 0.99), "weights of model.path": "ab"}
    _points(tmp_path, inputs=noted).save(3)
    assert _points(tmp_path, inputs=noted).load() == 3
    other = _points(tmp_path, inputs=noted | {"weights of model.path": "cd"})
    before = torch.cat([p.reshape(-1) for p in other.stepper.parameters]).clone()
    with pytest.raises(
        RequestError, match=r"found weights of model.path=cd \(it was ab\); leave it out, or start a new"
    ):
        other.load()
    assert torch.equal(torch.cat([p.reshape(-1) for p in other.stepper.parameters]), before)


def test_fewer_steps_than_were_taken_are_refused_and_more_are_not(tmp_path: Path) -> None:
    _points(tmp_path, total=5).save(5)
    with pytest.raises(
        RequestError, match="must leave the 5 steps that were taken, found 4; set engine.max_steps=5 or"
    ):
        _points(tmp_path, total=4).load()
    assert _points(tmp_path, total=5).load() == 5
    longer = _points(tmp_path, total=9)
    assert longer.load() == 5 and longer.former_total == 5
    (said, warned) = _said_of_start(5, longer, "cosine")
    assert said == "going on after step 5" and "was that of 5 steps so far and is that of 9 from here on" in warned
    assert list(_said_of_start(5, longer, "constant")) == ["going on after step 5"]
    assert list(_said_of_start(0, longer, "cosine")) == []


def test_the_rows_of_a_forward_pass_that_fitted_are_gone_on_with(tmp_path: Path) -> None:
    _points(tmp_path, pieces=MicroBatches(2, auto=True)).save(3)
    for pieces, rows in ((MicroBatches(8, auto=True), 2), (MicroBatches(1, auto=True), 1), (MicroBatches(8), 8)):
        _points(tmp_path, pieces=pieces).load()
        assert pieces.rows == rows


@pytest.mark.parametrize("length", [0, 8, 100, -1])
def test_kept_weights_that_are_torn_are_refused_before_anything_is_put_back(length: int, tmp_path: Path) -> None:
    first = _points(tmp_path)
    first.history.add(1, {"forget_probability": 0.4, "retain_probability": 0.9})
    first.keep(1)
    first.history.add(2, {"forget_probability": 0.4, "retain_probability": 0.8})
    first.save(2)
    file = tmp_path / "resume" / "kept-00000001.safetensors"
    whole = file.stat().st_size
    os.truncate(file, length if length >= 0 else whole - 1)
    found = f"found that kept-00000001.safetensors has {file.stat().st_size} bytes in place of {whole}; start the run"
    with pytest.raises(RequestError, match=re.escape(found)):
        _points(tmp_path).load()


def test_the_log_is_on_the_disk_before_a_point_stands_for_its_steps(tmp_path: Path) -> None:
    seen: list[bool] = []
    points = _points(tmp_path, settle_log=lambda: seen.append((tmp_path / "resume").exists()))
    points.save(1)
    assert seen == [False] and (tmp_path / "resume" / "step-00000001").is_dir()


def test_a_step_whose_numbers_are_not_finite_is_noted_by_ids(tmp_path: Path) -> None:
    logs = Logs(tmp_path, Silent(), 0, Unwatched())
    logs.broken(4, "the loss forward_kl is nan", {"forget": ["f:1", "f:2"], "retain": ["r:9"]})
    assert read(tmp_path / "nonfinite.json") == {
        "step": 4,
        "found": "the loss forward_kl is nan",
        "rows": {"forget": ["f:1", "f:2"], "retain": ["r:9"]},
    }
