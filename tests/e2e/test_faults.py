"""What a machine does to a run in days: each fault ends with a message and a remedy, and no good point is lost."""

from __future__ import annotations

import ast
import errno
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._subclasses import FakeTensor
from transformers import LlamaForCausalLM

from mollm_cli.launch.lock import held
from mollm_cli.resume import checkpoint
from mollm_cli.resume.resume_points import ResumePoints
from mollm_cli.trackers.train_log import TrainLog
from tests.support.cli import ROOT, Answer, read, unlearn, write_lines
from tests.support.disk import fill, make_room, small_disk

MIB = 2**20
STEPS = ("engine.max_steps=4", "engine.checkpoint_every=1", "direction.forget_target=null")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """The run that nothing happens to."""
    return unlearn(tmp_path_factory.mktemp("whole"), *STEPS)


def _failed(run: Answer, *wanted: str) -> None:
    assert run.code == 1, run.err
    assert "Traceback" not in run.err and all(text in run.err for text in wanted), run.err


def _readable(run_dir: Path, last: int) -> None:
    """Nothing half written is left, and the newest point is of step ``last``."""
    assert isinstance(read(run_dir / "manifest.json")["status"], str)
    assert [path.name for path in run_dir.rglob(".*.*")] == []
    assert [point.name for point in checkpoint.points(run_dir / "resume")][-1:] == [f"step-{last:08d}"]


def _goes_on_as(whole: Answer, run_dir: Path, root: Path) -> None:
    again = unlearn(root, f"resume={run_dir}", *STEPS)
    assert again.code == 0, again.err
    assert again.manifest["checkpoint"] == whole.manifest["checkpoint"]
    assert [step["step"] for step in again.steps] == [1, 2, 3, 4]


def _at(monkeypatch: pytest.MonkeyPatch, place: type, name: str, step: int, happens: Callable[[Any], None]) -> None:
    """Let ``happens`` happen once, as ``place``.``name`` is called for ``step``."""
    honest, done = getattr(place, name), []

    def troubled(self: Any, told: Any) -> Any:
        now = told if isinstance(told, int) else int(told["step"])
        if now == step and not done:
            done.append(now)
            happens(self)
        return honest(self, told)

    monkeypatch.setattr(place, name, troubled)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 192) as mounted:
        if mounted is None:
            pytest.skip("this system lets us mount no tmpfs; a limited file size stands for it in the tests below")
        yield mounted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("left", "step", "at"),
    [
        (0, 2, "not even a line of the log"),
        (64 * 1024, 2, "the log, no point"),
        (9 * MIB, 3, "half a point"),
        (2 * MIB, 4, "the last point"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_disk_that_fills_up(
    left: int, step: int, at: str, whole: Answer, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as filling:
        _at(filling, TrainLog, "write", step, lambda log: fill(disk, left))
        run = unlearn(disk / "out", *STEPS)
    _failed(run, "the disk must have room for what the run writes, found 'No space left on device'", "Free some space")
    _readable(run.run_dir, step - 1)
    make_room(disk)
    _goes_on_as(whole, run.run_dir, disk / "out")


@pytest.mark.slow
def test_a_disk_that_fills_up_at_the_checkpoint_or_the_report(
    whole: Answer, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as filling:
        _at(filling, ResumePoints, "settle", 4, lambda points: fill(disk, MIB))
        run = unlearn(disk / "out", *STEPS)
    _failed(run, "the disk must have room for what the run writes")
    _readable(run.run_dir, 4)
    assert not (run.run_dir / "checkpoint").exists()
    make_room(disk)
    with monkeypatch.context() as filling:
        filling.setattr("mollm_cli.run.evidence.write_text", lambda *given: _no_space())
        run = unlearn(disk / "out", f"resume={run.run_dir}", *STEPS)
    _failed(run, "the disk must have room for what the run writes")
    _readable(run.run_dir, 4)
    _goes_on_as(whole, run.run_dir, disk / "out")


def _no_space() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.slow
def test_a_file_that_may_not_become_as_large(whole: Answer, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ulimit -f: what a quota is elsewhere."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with monkeypatch.context() as limiting:
            limit = lambda log: resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MIB, before[1]))  # noqa: E731
            _at(limiting, TrainLog, "write", 3, limit)
            run = unlearn(root, *STEPS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    _failed(run, "the disk must have room for what the run writes, found 'File too large'")
    _readable(run.run_dir, 2)
    _goes_on_as(whole, run.run_dir, root)


def test_a_run_directory_that_is_removed_does_not_come_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _at(monkeypatch, TrainLog, "write", 2, lambda log: shutil.rmtree(log.path.parent))
    run = unlearn(root, *STEPS)
    _failed(run, "the run directory must stay where it is while the run goes on, found", "gone or replaced. Start")
    assert run.out == "" and "report" not in run.err and list(root.glob("*/*")) == []


@pytest.mark.slow
def test_a_run_directory_that_was_moved_away_goes_on_when_it_is_back(
    whole: Answer, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as moving:
        _at(moving, ResumePoints, "save", 3, lambda points: points.folder.parent.rename(tmp_path / "away"))
        run = unlearn(root, *STEPS)
    _failed(run, "gone or replaced")
    (tmp_path / "away").rename(root / "back")
    _readable(root / "back", 2)
    _goes_on_as(whole, root / "back", root)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file on this system that answers with an I/O error")
def test_a_read_error_in_a_file_of_rows(root: Path, tmp_path: Path) -> None:
    """The first byte of a process's memory is never there to read: a real EIO."""
    rows = write_lines(tmp_path / "retain.jsonl", [{"question": "a?", "answer": "b"}])
    broken = tmp_path / "forget.jsonl"
    broken.symlink_to("/proc/self/mem")
    typed = ["data=custom", "direction.forget_target=0.01", f"data.retain.path={rows}", f"data.forget.path={broken}"]
    run = unlearn(root, *typed)
    assert run.code == 2 and "Traceback" not in run.err
    assert str(broken) in run.err and "Input/output error" in run.err, run.err


def test_a_read_error_in_the_weights(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any, **more: Any) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "model.safetensors")

    monkeypatch.setattr("transformers.modeling_utils.safe_open", broken)
    run = unlearn(root)
    assert run.code == 2 and "Traceback" not in run.err
    assert "the model cannot be loaded" in run.err and "Input/output error" in run.err, run.err


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that trains four rows at once and no more."""
    honest = LlamaForCausalLM.forward

    def forward(self: Any, input_ids: Any = None, **more: Any) -> Any:
        planned = isinstance(input_ids, FakeTensor) or any(isinstance(p, FakeTensor) for p in self.parameters())
        if torch.is_grad_enabled() and input_ids.shape[0] > 4 and not planned:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return honest(self, input_ids=input_ids, **more)

    monkeypatch.setattr(LlamaForCausalLM, "forward", forward)


@pytest.mark.slow
def test_no_room_names_the_terms_of_the_plan_and_the_change(
    root: Path, little_room: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan is the run's own; the search for a change, which plans many times, has tests of its own."""
    half = SimpleNamespace(overrides=("engine.micro_batch=4",))
    monkeypatch.setattr("mollm_cli.run.out_of_memory.remedy", lambda given, capacity: half if capacity > MIB else None)
    run = unlearn(root, *STEPS)
    _failed(run, "the training must fit into the memory of cpu, found no room; the largest terms of its plan: ", " MiB")
    assert "at the peak of 'step'. Go on with a tenth less: resume=RUN_DIR engine.micro_batch=4\n" in run.err


@pytest.mark.slow
def test_with_auto_half_the_rows_are_taken_and_the_run_is_the_same(
    whole: Answer, root: Path, little_room: None
) -> None:
    run = unlearn(root, *STEPS, "engine.micro_batch=auto")
    assert run.code == 0, run.err
    assert "step 1: no room for 8 rows in one forward pass; going on with 4" in run.err
    for found, wanted in zip(run.steps, whole.steps, strict=True):
        assert found["loss.cross_entropy"] == pytest.approx(wanted["loss.cross_entropy"], rel=1e-4)


def test_a_step_that_is_not_finite_names_the_objective_and_its_rows(root: Path) -> None:
    run = unlearn(root, "loss=grad_diff", "optimizer.lr=1e30", *STEPS)
    _failed(run, "step 2: ", "is not finite; the optimizer has not moved", "optimizer.lr")
    assert run.manifest["status"] == "failed" and run.manifest["error"].startswith("step 2: ")
    assert [step["step"] for step in run.steps] == [1]
    assert not (run.run_dir / "checkpoint").exists() and (run.run_dir / "report.html").is_file()
    _readable(run.run_dir, 1)  # the last good state
    found = read(run.run_dir / "nonfinite.json")
    assert found["step"] == 2 and found["found"] in run.err
    assert "cross_entropy is not finite" in found["found"], found
    assert set(found["rows"]) == {"forget", "retain"} and all(len(ids) == 8 for ids in found["rows"].values())


@pytest.mark.slow
def test_a_tracker_that_is_down_does_not_stop_the_training(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(self: Any, step: int, values: Any) -> None:
        raise ConnectionError("api.example.org does not answer")

    monkeypatch.setattr("mollm_cli.trackers.accelerated.Accelerated.log", down)
    run = unlearn(root, "tracker=tensorboard")
    assert run.code == 0 and len(run.steps) == 3
    assert run.err.count("Accelerated is told of no more steps (api.example.org does not answer)") == 1


@pytest.mark.slow
def test_a_clock_that_jumps_changes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = iter(range(10**9, 0, -86_400))
    with monkeypatch.context() as jumping:
        jumping.setattr(time, "time", lambda: float(next(jumps)))
        run = unlearn(root)
    assert run.code == 0, run.err
    assert 0 < run.manifest["wall_seconds"] < 600 and all(step["tokens_per_second"] > 0 for step in run.steps)


def test_no_duration_is_taken_from_the_clock_on_the_wall() -> None:
    for file in (ROOT / "mollm_cli").rglob("*.py"):
        names = {ast.unparse(node) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
        assert not names & {"time.time", "time.time_ns", "datetime.now", "datetime.datetime.now"}, file


def test_two_runs_with_one_directory(root: Path, tmp_path: Path) -> None:
    directory = tmp_path / "mine"
    directory.mkdir()
    with held(directory):
        run = unlearn(root, "resume=auto", f"run_dir={directory}")
    assert run.code == 2 and "the run directory must be one process's alone, found another at work in" in run.err
    assert list(directory.iterdir()) == []
