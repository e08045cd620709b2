"""What the processes of a run tell one another of their endings."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mollm_cli.core.errors import InterruptionError, RequestError
from mollm_cli.core.world import ALONE, World, after_first
from mollm_cli.engine.device import device_of
from mollm_cli.launch import process_group
from mollm_cli.launch.process_group import Ending, ProcessGroup
from mollm_cli.launch.session import session
from mollm_cli.launch.signals import Signals
from mollm_cli.run.context import Body
from mollm_cli.run.logs import agreed
from tests.support.asked import ASKED
from tests.support.processes import together

LOST = r"rank 1 must stay until the run has ended, found it gone without a word: .* go on with resume="


def _of(body: Callable[[World, Any], None]) -> Body:
    return lambda context: body(context.world, context.signals)


def _ended(tmp_path: Path, body: Callable[[World, Signals], None], grace: float = 60.0) -> list[dict[str, Any]]:
    """How a session of two processes ends, as each sees it, with the manifest that it leaves."""

    def run(world: World) -> dict[str, Any]:
        process_group.GRACE_SECONDS = grace
        each = ProcessGroup(world)
        each.listen()
        code = session(ASKED, tmp_path / "run", {}, "unlearn", _of(body), each)
        each.tell("completed", code, None)
        return {"code": code, "manifest": json.loads((tmp_path / "run" / "manifest.json").read_text())}

    return together(2, run)


def test_both_come_to_the_end(tmp_path: Path) -> None:
    first, second = _ended(tmp_path, lambda world, signals: world.barrier())
    assert first["code"] == second["code"] == 0
    assert first["manifest"]["status"] == "completed"
    assert first["manifest"] == second["manifest"], "the second waits for the last word of the first"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RequestError("no such row"), "failed", 2),
        pytest.param(ValueError("ours"), "failed", 1, marks=pytest.mark.slow),
        pytest.param(KeyboardInterrupt(), "interrupted", 130, marks=pytest.mark.slow),
    ],
)
def test_the_first_says_why_another_ended(
    error: BaseException, status: str, code: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def body(world: World, signals: Signals) -> None:
        if not world.first:
            raise error
        world.barrier()

    def run(world: World) -> dict[str, Any]:
        each = ProcessGroup(world)
        each.listen()
        found = session(ASKED, tmp_path / "run", {}, "unlearn", _of(body), each)
        if not world.first:
            os._exit(found)
        return {"code": found}

    with pytest.raises(AssertionError, match="rank 1: ended at once"):
        together(2, run)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert (manifest["status"], manifest["exit_code"]) == (status, code)
    assert f"rank 1: {manifest.get('error', 'rank 1: interrupted').removeprefix('rank 1: ')}" in capfd.readouterr().err


def test_a_process_that_is_gone_is_missed_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def body(world: World, signals: Signals) -> None:
        if not world.first:
            os._exit(9)
        world.barrier()

    with pytest.raises(AssertionError, match="rank 1: ended at once"):
        _ended(tmp_path, body)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert (manifest["status"], manifest["exit_code"]) == ("failed", 1)
    assert re.match(LOST, manifest["error"])
    assert "gone without a word" in capfd.readouterr().err


def test_one_that_does_not_end_by_itself_is_ended(tmp_path: Path) -> None:
    def body(world: World, signals: Signals) -> None:
        if not world.first:
            os._exit(9)
        time.sleep(100)

    with pytest.raises(AssertionError, match="rank 0: ended at once"):
        _ended(tmp_path, body, grace=0.2)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert (manifest["status"], manifest["exit_code"]) == ("failed", 1)
    assert "rank 1" in manifest["error"]


def test_a_signal_to_one_is_heeded_by_all_after_the_same_step(tmp_path: Path) -> None:
    def body(world: World, signals: Signals) -> None:
        code, steps = agreed(signals, world), 0
        while code() is None:
            steps += 1
            if steps == 3 and not world.first:
                signals.received = 143
        raise InterruptionError(f"after {steps}", 143)

    found = _ended(tmp_path, body)
    assert [each["code"] for each in found] == [143, 143]
    assert found[0]["manifest"]["status"] == "interrupted"


def test_what_the_first_leaves_the_others_find(tmp_path: Path) -> None:
    def body(world: World) -> list[str]:
        with after_first(world):
            found = [file.name for file in tmp_path.iterdir()]
            time.sleep(0.1)
            (tmp_path / str(world.rank)).touch()
        return found

    assert together(2, body) == [[], ["0"]]


def test_alone_there_is_nobody_to_tell() -> None:
    alone = ProcessGroup()
    alone.listen()
    assert alone.trouble(10.0) is None and alone.ending_of_first() is None
    alone.tell("failed", 1, "of myself")
    assert agreed(Signals(), ALONE)() is None
    assert np.array_equal(ALONE.sums(np.ones(2)), np.ones(2))


@pytest.mark.parametrize(("ending", "left"), [(None, True), (Ending(1, "failed", 1, None), False)])
def test_a_process_leaves_the_others_only_where_nobody_is_in_trouble(
    ending: Ending | None, left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads still wait for a word otherwise: the process is ended with them."""
    found: list[World] = []
    monkeypatch.setattr(process_group, "join", lambda seconds, kind: World(0, 1))
    monkeypatch.setattr(process_group, "leave", found.append)
    with process_group.company() as peers:
        peers.world = World(0, 2)
        peers._endings |= {} if ending is None else {1: ending}
    assert bool(found) is left


def test_a_word_counts_more_than_a_silence() -> None:
    several = ProcessGroup(World(0, 3))
    several._endings |= {1: Ending(1, "failed", 1, None), 2: Ending(2, "failed", 1, "no room")}
    found = several.trouble(0.0)
    assert found is not None and found.explained("RUN") == "rank 2: no room"


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    world, cuda = World(3, 4, 1), torch.device("cuda")
    assert device_of(world, cuda) == torch.device("cuda", 1)
    assert device_of(world, torch.device("cpu")) == torch.device("cpu")
    assert device_of(ALONE, cuda) == cuda
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(RequestError, match="each process must have a GPU of its own, found 2 for 3 processes"):
        device_of(world, cuda)
