"""Sweeps by Hydra's launchers, in real processes: what fails or is killed stops nothing, and nothing is run twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from mollm_cli.cli.commands import UNLEARN
from tests.support.cli import answer, read
from tests.support.sweeps import FAILED, KILLED, SLOW, WORKER_KILLED, fake_runs, ran, table

JOBLIB = "hydra/launcher=joblib"
TWELVE = f"seed=0,1,2,{KILLED},4,{FAILED},6,7,8,9,10,11"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_runs(tmp_path / "fake", monkeypatch)


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("launcher", "seeds"),
    [("joblib", [0, 1, 2, KILLED, 4, FAILED, *range(6, 12)]), ("submitit_local", [0, KILLED, FAILED])],
)
def test_one_killed_one_failing_then_resumed(launcher: str, seeds: list[int], root: Path) -> None:
    typed = f"seed={','.join(map(str, seeds))}"
    jobs, lost = range(len(seeds)), [seeds.index(KILLED), seeds.index(FAILED)]
    sweep = answer(UNLEARN, f"output_root={root}", "-m", typed, f"hydra/launcher={launcher}")
    assert sweep.code == 1, sweep.err
    assert [int(row["run"]) for row in table(sweep.run_dir) if row["status"] == "failed"] == lost
    assert read(sweep.run_dir / str(lost[0]) / "manifest.json")["error"] == "killed by SIGKILL"
    assert f"2 of {len(jobs)} jobs are missing" in sweep.err
    assert ran(sweep.run_dir) == [(number, "False") for number in jobs]
    listed = answer(UNLEARN, "--resume-sweep", str(sweep.run_dir), "--check")
    assert (listed.code, listed.out) == (0, "")
    assert f"{len(jobs)} jobs, {len(jobs) - 2} finished, 0 running, 2 missing; missing: {lost}" in listed.err

    again = answer(UNLEARN, "--resume-sweep", str(sweep.run_dir))
    assert (again.code, again.run_dir) == (1, sweep.run_dir)  # one fails whenever it is run
    rows = table(sweep.run_dir)
    assert [int(row["run"]) for row in rows] == list(jobs)
    assert [int(row["run"]) for row in rows if row["status"] != "completed"] == lost[1:]
    assert [number for number, _ in ran(sweep.run_dir)] == sorted([*jobs, *lost])
    assert all((sweep.run_dir / f"sweep.{form}").stat().st_size for form in ("md", "html"))


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
def test_a_worker_that_is_killed_takes_no_job_with_it(root: Path) -> None:
    typed = ("-m", f"seed=0,{WORKER_KILLED},{SLOW},3,4", JOBLIB)
    sweep = answer(UNLEARN, f"output_root={root}", *typed)
    assert sweep.code == 0, sweep.err
    assert "a worker of hydra/launcher=joblib was killed; once more: jobs [" in sweep.err
    assert [row["status"] for row in table(sweep.run_dir)] == ["completed"] * 5
