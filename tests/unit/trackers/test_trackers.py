from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.trackers.none import Silent
from mollm_cli.trackers.tensorboard import TensorBoard
from mollm_cli.trackers.train_log import TrainLog
from mollm_cli.trackers.wandb import WeightsAndBiases


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_log_is_there_from_the_start_and_grows_line_by_line(tmp_path: Path) -> None:
    log = TrainLog(tmp_path / "train.jsonl")
    assert _lines(log.path) == []
    log.write({"step": 1, "loss.a": 0.5, "status": "fixed", "live.a": True})
    assert _lines(log.path) == [{"step": 1, "loss.a": 0.5, "status": "fixed", "live.a": True}]


def test_what_json_has_no_word_for_becomes_null(tmp_path: Path) -> None:
    log = TrainLog(tmp_path / "train.jsonl")
    log.write({"step": 1, "a": float("nan"), "b": float("inf")})
    assert _lines(log.path) == [{"step": 1, "a": None, "b": None}]


def test_resume_drops_the_steps_that_are_taken_again(tmp_path: Path) -> None:
    log = TrainLog(tmp_path / "train.jsonl")
    for step in range(5):
        log.write({"step": step})
    TrainLog(log.path, resume_step=2).write({"step": 3, "again": True})
    assert _lines(log.path) == [{"step": 0}, {"step": 1}, {"step": 2}, {"step": 3, "again": True}]
    assert _lines(TrainLog(log.path).path) == []


def test_silence(tmp_path: Path) -> None:
    tracker = Silent()
    tracker.start(tmp_path)
    tracker.log(1, {"a": 1.0})
    tracker.close()
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_keeps_every_scalar_by_step(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = TensorBoard()
    tracker.close()  # a run that fails before its first step closes what was never opened
    tracker.start(tmp_path)
    tracker.log(1, {"loss.a": 0.5})
    tracker.log(2, {"loss.a": 0.25})
    tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss.a")] == [(1, 0.5), (2, 0.25)]


def test_wandb_is_told_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    run = SimpleNamespace(log=lambda values, step: told.append((step, values)), finish=lambda: told.append("finished"))
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **given: told.append(given) or run))
    tracker = WeightsAndBiases("mine")
    tracker.close()
    tracker.start(tmp_path)
    tracker.log(3, {"a": 1.0})
    tracker.close()
    assert told == [{"project": "mine", "dir": str(tmp_path), "name": tmp_path.name}, (3, {"a": 1.0}), "finished"]


@pytest.mark.parametrize(
    ("tracker", "module", "extra"),
    [(TensorBoard(), "torch.utils.tensorboard", "tensorboard"), (WeightsAndBiases(), "wandb", "wandb")],
)
def test_a_package_that_is_missing(
    tracker: Any, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RequestError, match=rf'tracker={extra} needs pip install "mollm-unlearn\[{extra}\]"'):
        tracker.start(tmp_path)
