"""What the soak plans, counts and holds against its limits; the soak itself is `make soak`."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.soak import EVALUATED, INTERVAL, failures, growth, rows, same, stepping, summary
from benchmarks.soak_process import Kill, Life, Watch, planned

pytestmark = pytest.mark.slow

WRITER = """
import os, sys, time
folder = sys.argv[1].removeprefix("run_dir=")
os.makedirs(folder + "/resume", exist_ok=True)
sys.stderr.write("going on after step 4\\n"); sys.stderr.flush()
with open(folder + "/new", "w") as log:
    os.replace(folder + "/new", folder + "/train.jsonl")
    for step in range(1, int(sys.argv[2]) + 1):
        log.write('{"step": %d}\\n' % step); log.flush()
        if step % 3 == 0:
            os.makedirs(folder + "/resume/.step-%d.1" % step); time.sleep(0.3)
            os.rename(folder + "/resume/.step-%d.1" % step, folder + "/resume/step-%d" % step)
        time.sleep(0.01)
"""


def test_kills_are_of_both_kinds_and_one_in_five_in_a_start_or_a_save() -> None:
    kills = planned(50, 2000, 0)
    assert kills == planned(50, 2000, 0) != planned(50, 2000, 1)
    assert Counter(kill.when for kill in kills) == {"step": 40, "start": 5, "save": 5}
    for when in ("step", "start", "save"):
        assert len({kill.signal for kill in kills if kill.when == when}) == 2
    steps = [kill.step for kill in kills]
    assert steps == sorted(set(steps)) and steps[0] >= 1 and steps[-1] < 1900
    assert all(0 <= kill.part < 1 for kill in kills)


@pytest.fixture
def watched(tmp_path: Path) -> Any:
    (tmp_path / "train.jsonl").write_text('{"step": 9}\n')  # of the process before

    def run(kill: Kill | None, steps: int = 12) -> Life:
        return Watch(["-c", WRITER, f"run_dir={tmp_path}", str(steps)], tmp_path, tmp_path / "said", 0.2).run(kill)

    return run


def test_a_process_that_is_left_alone(watched: Any) -> None:
    life = watched(None)
    assert (life.code, life.first, life.last, life.killed, life.torn) == (0, 4, 12, False, False)
    assert set(life.memory) <= set(range(5, 13)) and min(life.memory.values()) > 2**20


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_kill_at_a_step_and_in_a_save(number: int, watched: Any) -> None:
    life = watched(Kill("step", number, 7), 1000)
    assert life.killed and life.code == -number and life.last >= 7 and life.ended is not None
    life = watched(Kill("save", number, 8), 1000)
    assert life.killed and life.torn and life.last >= 8


def test_a_kill_in_a_start(watched: Any, tmp_path: Path) -> None:
    began = time.monotonic()
    life = Watch([*("-c", "import time; time.sleep(60)")], tmp_path, tmp_path / "said", 0.2).run(
        Kill("start", 9, 5, 0.5)
    )
    assert life.killed and (life.first, life.last) == (None, None) and time.monotonic() - began < 30


def test_steps_are_lost_once_and_by_the_kill_before_the_next_training() -> None:
    kills = [Kill("step", 9, 10), Kill("start", 9), Kill("step", 15, 30), Kill("step", 9, 50)]
    lives = [
        Life(-9, 0, 17, killed=True, ended=0.1),
        Life(-9, None, None, killed=True, ended=0.1),
        Life(143, 10, 31, killed=True, ended=1.5),
        Life(0, 31, 60),
    ]
    found = rows(kills, lives)
    assert [(row["signal"], row["when"], row["steps_lost"]) for row in found] == [
        ("SIGKILL", "step", 7),
        ("SIGKILL", "start", 0),
        ("SIGTERM", "step", 0),
    ]
    alone = Life(0, 0, 60, memory={1: 100, 31: 100, 60: 101}, cpu={1: 1.0, 58: 1.6, 59: 1.62, 60: 2.18}, started=3.0)
    told = summary(found, alone, [alone, *lives], 60)
    assert (told["kills_survived"], told["most_steps_lost"], told["steps_lost"]) == (3, 7, 7)
    assert told["seconds_to_end_on_sigterm"] == {"median": 1.5, "most": 1.5}
    assert told["cpu_seconds_per_step"]["with_saves_and_evaluations"] == pytest.approx(0.02)


def test_a_step_alone_has_no_save_and_no_evaluation_in_it() -> None:
    cpu = {1: 0.0, 2: 0.5, 3: 1.0, INTERVAL: 2.0, INTERVAL + 1: 12.0, EVALUATED - 1: 20.0, EVALUATED: 70.0}
    assert stepping(cpu) == pytest.approx(0.5)


def test_memory_is_that_of_the_first_and_the_last_thousand_steps() -> None:
    memory = {step: 100 if step <= 1000 else 110 if step <= 9000 else 103 for step in range(1, 10_001)}
    assert growth(memory, 10_000) == {"first_bytes": 100, "last_bytes": 103, "growth": pytest.approx(0.03)}
    assert growth({1: 100, 2: 100, 3: 101, 4: 101}, 4)["growth"] == pytest.approx(0.01)


def test_what_does_not_hold_is_named() -> None:
    found = {"most_steps_lost": INTERVAL, "kills_survived": 50, "memory": {"growth": 0.02}}
    assert failures(found, {"parameters": True}, 50) == []
    found = {"most_steps_lost": INTERVAL + 1, "kills_survived": 49, "memory": {"growth": 0.021}}
    assert [text.split(",")[0] for text in failures(found, {"parameters": False}, 50)] == [
        "parameters: not the same",
        f"{INTERVAL + 1} steps lost at once",
        "49 kills",
        "memory grew by 2.1%",
    ]


def test_runs_are_the_same_but_for_the_times(tmp_path: Path) -> None:
    for name, speed in (("a", 1.0), ("b", 2.0)):
        (tmp_path / name / "checkpoint").mkdir(parents=True)
        (tmp_path / name / "checkpoint" / "model.safetensors").write_bytes(b"weights")
        line = {"step": 1, "loss.x": 0.5, "tokens_per_second": speed}
        (tmp_path / name / "train.jsonl").write_text(json.dumps(line) + "\n")
        (tmp_path / name / "manifest.json").write_text(json.dumps({"selection": {"step": 1}}))
    a, b = tmp_path / "a", tmp_path / "b"
    assert same(a, b) == {"parameters": True, "train_log": True, "selection": True}
    (b / "checkpoint" / "model.safetensors").write_bytes(b"Weights")
    (b / "train.jsonl").write_text('{"step": 1, "loss.x": 0.50001}\n')
    assert same(a, b) == {"parameters": False, "train_log": False, "selection": True}
