"""Who is told of the steps, and from which on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.core.doing import Unwatched
from mollm_cli.launch.signals import Signals
from mollm_cli.run.logs import Logs, followed


class Told:
    """A tracker that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def start(self, run_dir: Path, after: int) -> None:
        self.heard.append((run_dir, after))

    def log(self, step: int, values: dict[str, float]) -> None:
        self.heard.append((step, values))

    def close(self) -> None:
        self.heard.append("closed")


@pytest.mark.parametrize(("start", "kept"), [(0, [1]), (2, [2, 1])])
def test_steps_are_written_and_told_and_those_taken_again_are_dropped(start: int, kept: list[int], tmp_path: Path):
    (tmp_path / "train.jsonl").write_text('{"step": 2}\n{"step": 3}\n')
    tracker, signals = Told(), Signals()
    logs = Logs(tmp_path, tracker, start, Unwatched())
    with followed(logs, signals):
        assert signals.waits
        logs.write({"step": 1, "loss.a": 0.5, "status": "converged"})
    assert not signals.waits
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == kept and lines[-1]["status"] == "converged"
    assert tracker.heard == [(tmp_path, start), (1, {"step": 1, "loss.a": 0.5}), "closed"]


@pytest.mark.parametrize(
    ("plain", "moved", "norm", "times"),
    [(True, 0.002, 1.0, 1), (True, 0.2, 1.0, 0), (True, None, 1.0, 0), (False, 0.002, 1.0, 0), (True, 0.0, 0.0, 0)],
)
def test_weights_that_stand_still_are_said_once_with_the_key(
    plain: bool, moved: float | None, norm: float, times: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    logs = Logs(tmp_path, Told(), 0, Unwatched(), plain)
    record = {"gradient_norm": norm, "status": "converged"} | ({} if moved is None else {"moved": moved})
    for step in (1, 2):
        logs.write({"step": step} | record)
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("moved 0.20% of the weights") == said.count("optimizer.update=auto") == times
