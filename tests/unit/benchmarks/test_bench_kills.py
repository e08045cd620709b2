"""What the rounds of kills count and hold against their limits; the rounds themselves are `make kills`."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

from benchmarks.kills import KILLS, STEPS, command, failures, killed, summary
from benchmarks.soak_process import Kill, Watch, planned

PARENT = """
import os, subprocess, sys, time
line = [sys.executable, "-c", "import time; time.sleep(60)"]
two = [subprocess.Popen(line, env=dict(os.environ) | {"RANK": str(rank)}) for rank in range(2)]
two[1].wait(); two[0].kill(); sys.exit(1)
"""


def _round(**changed: Any) -> dict[str, Any]:
    row = {"signal": "SIGTERM", "when": "step", "steps_lost": 3, "seconds_to_end": 2.0, "half_written": False}
    return {"rows": [row | changed] * KILLS, "identical": {"parameters": True, "train_log": True}}


def test_what_was_survived() -> None:
    found = summary([_round(), _round(when="save", signal="SIGKILL", half_written=True, seconds_to_end=4.0)])
    assert (found["rounds"], found["kills_survived"], found["half_written_points"]) == (2, 20, 10)
    assert found["by_signal"] == {"SIGKILL": 10, "SIGTERM": 10} and found["by_moment"]["save"] == 10
    assert (found["most_steps_lost"], found["seconds_to_end"]) == (3, 3.0)


def test_what_was_not_shown() -> None:
    good = {"1": summary([_round()] * 4), "2": summary([_round()])}
    assert failures(good) == []
    torn = _round(steps_lost=21)
    torn["identical"]["parameters"] = False
    assert failures({"1": summary([torn] * 3), "2": good["2"]}) == [
        "1: parameters not the same",
        "1: 30 kills, must be 40",
        "1: 21 steps lost at once, must be at most 20",
    ]


def test_the_run_is_the_embedded_one() -> None:
    assert not [text for text in command(1) if text.startswith(("model.path", "model.weights", "engine.processes"))]
    assert command(2)[-1] == "engine.processes=2" and f"engine.max_steps={STEPS}" in command(2)


def test_of_two_processes_any_is_killed(tmp_path: Path) -> None:
    assert {kill.rank for kill in planned(KILLS, STEPS, 0, 2)} == {0, 1}
    assert {kill.rank for kill in planned(KILLS, STEPS, 0)} == {None}
    began = time.monotonic()
    life = Watch(["-c", PARENT], tmp_path, tmp_path / "said", 0.1).run(Kill("start", signal.SIGKILL, part=0.0, rank=1))
    assert (life.killed, life.code) == (True, 1) and time.monotonic() - began < 30


def test_a_round_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    (tmp_path / "round-0.json").write_text('{"rows": [], "identical": {}}')
    assert killed(1, 0, tmp_path) == {"rows": [], "identical": {}}
