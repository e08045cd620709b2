"""sweep.json, what is missing, and what becomes of a job that could not say how it ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.core.allowed import Allowed, allowing
from mollm_cli.core.errors import RequestError
from mollm_cli.launch.lock import held
from mollm_cli.sweep.job import settled
from mollm_cli.sweep.ledger import FILE, SweepLedger


def _jobs(directory: Path, *lines: str, **more: Any) -> SweepLedger:
    base = tuple(more.pop("base", ()))
    return SweepLedger(directory, "unlearn", base, tuple((*base, *line.split()) for line in lines), more)


def _ends(jobs: SweepLedger, number: int, **facts: Any) -> None:
    jobs.folder(number).mkdir(exist_ok=True)
    (jobs.folder(number) / "manifest.json").write_text(json.dumps(facts))


def _manifest(jobs: SweepLedger, number: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((jobs.folder(number) / "manifest.json").read_text())
    return found


def test_what_is_written_is_read(tmp_path: Path) -> None:
    jobs = _jobs(tmp_path, "seed=0", "seed=1", base=["hydra/launcher=local"], name="x")
    jobs.write()
    assert SweepLedger.read(tmp_path) == jobs
    assert jobs.typed(1)[:2] == ["resume=auto", f'run_dir="{tmp_path}/1"']
    assert jobs.shown(1) == "seed=1"


@pytest.mark.parametrize("text", [None, "{", "[]", '{"command": "unlearn", "base": [], "lines": [1], "named": {}}'])
def test_a_folder_that_is_no_sweep(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / FILE).write_text(text)
    with pytest.raises(RequestError, match="a sweep directory must hold sweep.json, found none that can be read"):
        SweepLedger.read(tmp_path)


def test_what_is_missing_is_what_has_not_finished_and_is_not_running(tmp_path: Path) -> None:
    jobs = _jobs(tmp_path, *(f"seed={seed}" for seed in range(6)))
    for number, status in enumerate(["completed", "gate_failed", "failed", "interrupted", "running"]):
        _ends(jobs, number, status=status)
    assert jobs.missing() == [2, 3, 4, 5]
    with held(jobs.folder(4)):
        assert (jobs.state(4), jobs.missing()) == ("running", [2, 3, 5])
        jobs.settle(4, -9)
    assert _manifest(jobs, 4) == {"status": "running"}  # somebody else's


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (-9, ("failed", 1, "killed by SIGKILL")),
        (1, ("failed", 1, "it ended with exit code 1")),
        (2, ("failed", 2, "it ended with exit code 2")),
        (143, ("interrupted", 143, "it ended with exit code 143")),
    ],
)
def test_a_job_that_could_not_say_how_it_ended(code: int, told: tuple[Any, ...], tmp_path: Path) -> None:
    jobs = _jobs(tmp_path, "loss=ga seed=7")
    jobs.settle(0, code)
    found = _manifest(jobs, 0)
    assert (found["status"], found["exit_code"], found["error"]) == told
    assert (found["loss"], found["solver"], found["seed"]) == ("ga", None, 7)
    assert jobs.codes() == [told[1]]
    _ends(jobs, 0, status="running", seed=3)
    jobs.settle(0, code)
    assert (_manifest(jobs, 0)["status"], _manifest(jobs, 0)["seed"]) == (told[0], 3)


def test_a_job_that_said_it_is_left_alone(tmp_path: Path) -> None:
    jobs = _jobs(tmp_path, "seed=7", "seed=8")
    jobs.settle(0, 0)
    assert not jobs.folder(0).exists()
    _ends(jobs, 1, status="failed", exit_code=1)
    jobs.settle(1, -9)
    assert _manifest(jobs, 1) == {"status": "failed", "exit_code": 1}


def test_a_secret_is_not_written_down_and_is_given_again(tmp_path: Path) -> None:
    key = "+tracker.api_key"
    jobs = _jobs(tmp_path, "seed=0", base=[f"{key}=plumtree-94"])
    jobs.write()
    assert "plumtree" not in (tmp_path / FILE).read_text()
    kept = SweepLedger.read(tmp_path)
    assert kept.with_secrets({"tracker.api_key": f"{key}=plumtree-94"}) == jobs
    with pytest.raises(RequestError, match=r"tracker.api_key is a secret that no sweep directory keeps, found \*\*\*"):
        kept.with_secrets({})
    with pytest.raises(RequestError, match="a sweep that is gone on with must keep its jobs as they are, found seed=1"):
        jobs.with_secrets({"seed": "seed=1"})


def test_another_launcher(tmp_path: Path) -> None:
    jobs = _jobs(tmp_path, "seed=0", base=["hydra/launcher=local", "hydra.launcher.n_jobs=2"])
    assert jobs.with_base(["hydra.launcher.n_jobs=4"]).base == ("hydra/launcher=local", "hydra.launcher.n_jobs=4")


def test_a_sweep_directory_raises_no_limit_by_itself(tmp_path: Path) -> None:
    line = "limits.memory_gib=900"
    _jobs(tmp_path, "seed=1", base=[line]).write()
    with pytest.raises(RequestError, match=r"sweep\.json: limits\.memory_gib is for the command line alone"):
        SweepLedger.read(tmp_path)
    with allowing(Allowed.typed("mollm-unlearn", [line], [line], (), ())):
        assert SweepLedger.read(tmp_path).with_secrets({"limits.memory_gib": line}).base == (line,)


def test_a_job_with_nothing_to_forget_is_told_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = _jobs(tmp_path, "seed=0", "seed=1")
    _ends(jobs, 0, status="nothing_to_forget", exit_code=2)
    for number in (0, 1):
        settled(jobs, number, 2)
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("job 0: nothing to forget, exit code 2; see ") and told[1].startswith(
        "job 1: exit code 2"
    )
    assert jobs.codes() == [2, 2] and _manifest(jobs, 0)["status"] == "nothing_to_forget"
