"""Two processes are one run, whoever starts them: one directory, the numbers of one process, one ending."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from safetensors.torch import load_file

from mollm_cli.configuration.programs import UNLEARN
from tests.support.cli import ROOT, Answer, answer, read, read_lines, unlearn

pytestmark = pytest.mark.slow
T = TypeVar("T")
SHORT = (
    "evaluation.limit=3",
    "evaluation.batch_size=2",
    "evaluation.generate_tokens=4",
    "evaluation.oracle=null",
    "engine.max_steps=3",
    "engine.batch_size=7",
    "engine.evaluate_every=2",
    "engine.evaluate_limit=5",
    "engine.device=cpu",
)
LONGEST = 540
SCRIPTS = Path(sys.executable).parent
MODULE = ("-m", "mollm_cli")
STARTS = {
    "engine.processes": (sys.executable, *MODULE, "engine.processes=2"),
    "engine.parallel": (sys.executable, *MODULE, "engine.processes=2", "engine.parallel=fsdp"),
    "torchrun": (str(SCRIPTS / "torchrun"), "--nproc-per-node=2", "--master-port=29517", *MODULE),
    "accelerate": (
        *(str(SCRIPTS / "accelerate"), "launch", "--multi_gpu", "--num_processes=2", "--num_machines=1"),
        *("--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=29518", *MODULE),
    ),
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    one = unlearn(tmp_path_factory.mktemp("alone"), *SHORT)
    assert one.code == 0, one.err
    return one


def _environment() -> dict[str, str]:
    return dict(os.environ) | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


@pytest.mark.parametrize("start", STARTS)
def test_two_processes_are_one_run(start: str, alone: Answer, tmp_path: Path) -> None:
    line = [*STARTS[start], f"output_root={tmp_path}", *SHORT]
    done = subprocess.run(line, env=_environment(), capture_output=True, text=True, timeout=LONGEST, check=False)
    two = Answer(done.returncode, done.stdout, done.stderr)
    assert two.code == 0, two.err
    assert list(tmp_path.glob("*/*")) == [two.run_dir]
    assert two.manifest["processes"] == 2 and two.manifest["status"] == "completed"
    assert two.err.count("kept: step 3") == 1, "only one process speaks"
    ours, theirs = (load_file(str(run.run_dir / "checkpoint" / "model.safetensors")) for run in (two, alone))
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in theirs) < 1e-5
    for moment in ("before", "after"):
        assert two.metrics[moment] == pytest.approx(alone.metrics[moment], abs=1e-5, nan_ok=True)
    assert [_losses(step) for step in two.steps] == [pytest.approx(_losses(step), abs=1e-5) for step in alone.steps]
    samples, others = (read_lines(run.run_dir / "samples.jsonl") for run in (two, alone))
    assert [row["id"] for row in samples] == [row["id"] for row in others]


def _losses(step: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value in step.items() if key.startswith(("step", "loss", "evaluation"))}


def test_a_process_that_is_killed_ends_the_run_which_can_be_gone_on_with(tmp_path: Path) -> None:
    line = [sys.executable, *MODULE, f"output_root={tmp_path}", *SHORT, "engine.max_steps=5000"]
    with _started([*line, "engine.processes=2", "engine.checkpoint_every=1"]) as run:
        (run_dir,) = _until(lambda: list(tmp_path.glob("*/*")))
        _until(lambda: list(run_dir.glob("resume/step-*")))
        run.send_signal(signal.SIGTERM)
        out, _ = run.communicate(timeout=LONGEST)
        assert (run.returncode, out) == (143, f"{run_dir}\n")
    manifest = read(run_dir / "manifest.json")
    assert (manifest["status"], manifest["exit_code"]) == ("interrupted", 143)

    with _started([sys.executable, *MODULE, f"resume={run_dir}"]) as run:
        (killed,) = _until(lambda: _ranks(run.pid, 1))
        steps = len(read_lines(run_dir / "train.jsonl"))
        _until(lambda: len(read_lines(run_dir / "train.jsonl")) > steps + 2)
        os.kill(killed, signal.SIGKILL)
        began = time.monotonic()
        out, err = run.communicate(timeout=LONGEST)
        assert time.monotonic() - began < 60
        assert (run.returncode, out) == (1, f"{run_dir}\n")
    manifest = read(run_dir / "manifest.json")
    assert (manifest["status"], manifest["exit_code"]) == ("failed", 1)
    assert "rank 1 was ended by SIGKILL" in manifest["error"] and manifest["error"] in err
    assert not _ranks(run.pid, 0)

    taken = int(max(run_dir.glob("resume/step-*")).name.removeprefix("step-"))
    again = answer(UNLEARN, f"resume={run_dir}", f"engine.max_steps={taken + 1}", "engine.processes=null")
    assert again.code == 0, again.err
    assert (again.manifest["processes"], again.manifest["steps"]) == (1, taken + 1)


def test_no_process_outlives_a_launcher_that_is_killed(tmp_path: Path) -> None:
    with _started([*STARTS["torchrun"], f"output_root={tmp_path}", *SHORT, "engine.max_steps=5000"]) as run:
        (log,) = _until(lambda: list(tmp_path.glob("*/*/train.jsonl")))
        _until(lambda: len(read_lines(log)) > 3)
        ranks = [process for rank in (0, 1) for process in _ranks(run.pid, rank)]
        run.kill()
        _until(lambda: not any(Path(f"/proc/{process}").exists() for process in ranks))
    manifest = read(log.with_name("manifest.json"))
    assert (len(ranks), manifest["status"], manifest["exit_code"]) == (2, "interrupted", 143)


@contextlib.contextmanager
def _started(line: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A run that may not outlive its test."""
    pipe = subprocess.PIPE
    with subprocess.Popen(line, env=_environment(), stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _until(look: Callable[[], T]) -> T:
    """What ``look`` finds as soon as it finds something."""
    end = time.monotonic() + LONGEST
    while not (found := look()):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.1)
    return found


def _ranks(parent: int, rank: int) -> list[int]:
    """Processes that ``parent`` has started as this rank."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            mother = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if mother == parent and f"\0RANK={rank}\0" in (folder / "environ").read_text():
                found.append(int(folder.name))
    return found
