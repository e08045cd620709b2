from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.trackers.accelerated import Accelerated
from mollm_cli.trackers.none import Silent
from mollm_cli.trackers.steady import Steady
from mollm_cli.trackers.train_log import TrainLog


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

    tracker = Accelerated("tensorboard")
    tracker.close()  # a run that fails before its first step closes what was never opened
    tracker.start(tmp_path)
    tracker.log(1, {"loss.a": 0.5})
    tracker.log(2, {"loss.a": 0.25})
    tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss.a")] == [(1, 0.5), (2, 0.25)]


def test_wandb_is_told_everything_and_goes_on_with_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    run = SimpleNamespace(
        log=lambda values, step, **_: told.append((step, values)), finish=lambda: told.append("finished")
    )
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **given: told.append(given) or run))
    tracker = Accelerated("wandb", "mine")
    tracker.close()
    tracker.start(tmp_path)
    tracker.log(3, {"a": 1.0})
    tracker.close()
    first = {"project": "mine", "dir": str(tmp_path), "name": tmp_path.name, "id": told[0]["id"], "resume": "allow"}
    assert told == [first, (3, {"a": 1.0}), "finished"] and len(told[0]["id"]) == 16
    Accelerated("wandb", "mine").start(tmp_path, after=3)
    assert told[-1] == first
    (tmp_path / "other").mkdir()
    Accelerated("wandb", "mine").start(tmp_path / "other")
    assert told[-1]["id"] != first["id"]


def test_tensorboard_passes_over_what_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    fake = SimpleNamespace(SummaryWriter=lambda folder, **given: asked.append(given))
    monkeypatch.setattr(torch.utils, "tensorboard", fake, raising=False)
    Accelerated("tensorboard").start(tmp_path)
    Accelerated("tensorboard").start(tmp_path, after=3)
    assert asked == [{"purge_step": None}, {"purge_step": 4}]


def test_a_kind_that_accelerate_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"tracker.kind must be .* of accelerate, found 'wanbd'; did you mean"):
        Accelerated("wanbd").start(tmp_path)


class _Frail:
    """A tracker that dies where it is told to; of an older kind, whose start knows no ``after``."""

    def __init__(self, dies_in: str, error: Exception) -> None:
        self.dies_in, self.error, self.told = dies_in, error, []  # type: ignore[var-annotated]

    def start(self, run_dir: Path) -> None:
        self._do("start")

    def log(self, step: int, values: Any) -> None:
        self._do(f"log {step}")

    def close(self) -> None:
        self._do("close")

    def _do(self, what: str) -> None:
        if what == self.dies_in:
            raise self.error
        self.told.append(what)


@pytest.mark.parametrize(
    ("dies_in", "told"),
    [
        ("start", []),
        ("log 2", ["start", "log 1"]),
        ("close", ["start", "log 1", "log 2", "log 3"]),
        ("never", ["start", "log 1", "log 2", "log 3", "close"]),
    ],
)
def test_a_tracker_that_dies_is_told_of_once(dies_in: str, told: list[str], tmp_path: Path) -> None:
    said: list[str] = []
    frail = _Frail(dies_in, ConnectionError("api.example.org is down\nand more"))
    tracker = Steady(frail, said.append)
    tracker.start(tmp_path, 0)
    for step in (1, 2, 3):
        tracker.log(step, {})
    tracker.close()
    assert frail.told == told
    wanted = "warning: _Frail is told of no more steps (api.example.org is down); train.jsonl has all"
    assert said == ([] if dies_in == "never" else [wanted])


def test_what_our_own_errors_say_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no package"):
        Steady(_Frail("start", RequestError("no package")), print).start(tmp_path, 0)


@pytest.mark.parametrize("torn", ['{"step": 2, "a', '{"step": 2}garbage', "\x00\x00", "[2]", '{"steps": 2}', ""])
def test_torn_lines_are_no_steps(torn: str, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"step": 1}\n' + torn)
    TrainLog(path, resume_step=2).write({"step": 2, "again": True})
    assert _lines(path) == [{"step": 1}, {"step": 2, "again": True}]


def test_of_each_step_there_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"step": 0}\n{"step": 1, "a": 1}\n{"step": 1, "a": 2}\n{"step": 3}\n')
    TrainLog(path, resume_step=2).settle()
    assert _lines(path) == [{"step": 0}, {"step": 1, "a": 2}]


def test_a_log_that_is_gone_begins_again(tmp_path: Path) -> None:
    assert _lines(TrainLog(tmp_path / "train.jsonl", resume_step=2).path) == []


@pytest.mark.parametrize(
    ("tracker", "module", "extra"),
    [(Accelerated("tensorboard"), "torch.utils.tensorboard", "tensorboard"), (Accelerated("wandb"), "wandb", "wandb")],
)
def test_a_package_that_is_missing(
    tracker: Any, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)  # what accelerate takes in place of torch's
    monkeypatch.delattr(torch.utils, "tensorboard", raising=False)
    with pytest.raises(
        RequestError,
        match=rf'tracker={extra} must find its package, found none; pip install "mollm-unlearn\[{extra}\]"',
    ):
        tracker.start(tmp_path)
