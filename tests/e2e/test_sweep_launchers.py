"""Sweeps by our launchers, in real processes: what fails or is killed stops nothing, and nothing is run twice."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from mollm_cli.configuration.programs import UNLEARN
from mollm_cli.data.token_cache import FEWEST_ROWS
from tests.support.cli import answer, read, unlearn, write_lines
from tests.support.slurm import fake_slurm, signal_step
from tests.support.sweeps import FAILED, KILLED, SLOW, WAITS, fake_runs, ran, started, table, until

LOCAL = "hydra/launcher=local"
TWELVE = f"seed=0,1,2,{KILLED},4,{FAILED},6,7,8,9,10,11"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_runs(tmp_path / "fake", monkeypatch)


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
def test_one_killed_one_failing_then_resumed(root: Path) -> None:
    seeds = [0, 1, 2, KILLED, 4, FAILED, *range(6, 12)]
    typed = f"seed={','.join(map(str, seeds))}"
    jobs, lost = range(len(seeds)), [seeds.index(KILLED), seeds.index(FAILED)]
    sweep = answer(UNLEARN, f"output_root={root}", "-m", typed, LOCAL)
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
def test_two_at_a_time_in_processes_of_their_own(root: Path) -> None:
    sweep = answer(UNLEARN, f"output_root={root}", "-m", f"seed={KILLED},{SLOW},2", LOCAL)
    assert sweep.code == 1, sweep.err
    assert [row["status"] for row in table(sweep.run_dir)] == ["failed", "completed", "completed"]
    said = [line for line in sweep.err.splitlines() if line.startswith("job ")]
    assert said[:3] == [
        f"job 0: seed={KILLED}",
        f"job 1: seed={SLOW}",
        f"job 0: killed by SIGKILL; see {sweep.run_dir / 'logs' / '0.txt'}",
    ]
    assert said[3] == "job 2: seed=2" and {*said[4:]} == {"job 1: done", "job 2: done"}


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_sweep_that_is_ended_is_gone_on_with(sent: signal.Signals, root: Path) -> None:
    with started(root, f"seed={WAITS},{WAITS},2", LOCAL) as sweep:
        until(lambda: len([*root.glob("sweeps/*/*/*/resume")]) == 2)
        sweep.send_signal(sent)
        out, err = sweep.communicate(timeout=120)  # its workers have ended too: they hold stderr open
    (directory,) = root.glob("sweeps/*/*")
    until(lambda: len([*directory.glob("*/manifest.json")]) == 2)
    assert [read(directory / job / "manifest.json")["exit_code"] for job in "01"] == [143, 143]
    if sent == signal.SIGTERM:
        assert (sweep.returncode, out.strip()) == (143, str(directory))
        assert "3 of 3 jobs are missing" in err
    again = answer(UNLEARN, "--resume-sweep", str(directory))
    assert again.code == 0, again.err
    assert ran(directory) == [(0, "False"), (0, "True"), (1, "False"), (1, "True"), (2, "False")]


SLURM = ("hydra/launcher=slurm", "hydra.launcher.partition=gpu", "hydra.launcher.array_parallelism=1")


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
def test_a_slurm_array_whose_job_is_preempted(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = tmp_path / "slurm"
    fake_slurm(slurm, monkeypatch)
    with started(root, f"seed=0,{WAITS}", *SLURM) as sweep:
        until(lambda: any(root.glob("sweeps/*/*/1/resume")))
        script = (slurm / "script.sh").read_text()
        asked = (
            "array=0-1%1",
            "requeue",
            "signal=USR2@300",
            "time=240",
            "partition=gpu",
            "mem=64GB",
            "gpus-per-node=1",
        )
        assert [text for text in asked if f"#SBATCH --{text}\n" not in script] == []
        signal_step(slurm, 1, signal.SIGUSR2)
        out, err = sweep.communicate(timeout=300)
    directory = Path(out.strip())
    assert (sweep.returncode, (slurm / "requeued.txt").read_text()) == (0, "1\n"), err
    (pickles,) = (directory / ".submitit").iterdir()
    assert re.fullmatch("[0-9a-f]{16}", pickles.name)  # nobody can have put files of the same names there
    assert (directory / "1" / "saved").stat().st_mtime_ns < (slurm / "requeued.txt").stat().st_mtime_ns
    assert [row["status"] for row in table(directory)] == ["completed"] * 2
    assert ran(directory) == [(0, "False"), (1, "False"), (1, "True")]


@pytest.mark.slow
def test_real_runs_two_at_a_time_share_what_is_kept(
    root: Path, tmp_path: Path, two_files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = [{"question": f"Quibble {n}?", "answer": f"Marzipan {n}."} for n in range(2 * FEWEST_ROWS)]
    many = f"data.retain.path={write_lines(tmp_path / 'many.jsonl', rows)}"
    line = (*two_files[:-1], many, "data.retain.content=ordinary", "engine.max_steps=2", "loss=ga_kl")
    sweep = unlearn(root, "-m", "optimizer.lr=1e-4,1e30,2e-4", LOCAL, *line)
    assert sweep.code == 1, sweep.err
    assert [row["status"] for row in table(sweep.run_dir)] == ["completed", "failed", "completed"]
    log = sweep.run_dir / "logs" / "1.txt"
    assert f"job 1: exit code 1; see {log}\n" in sweep.err and "is not finite" in log.read_text()
    kept = [file for file in (tmp_path / "cache" / "mollm-unlearn").rglob("*") if file.is_file()]
    states, tokens = sorted(kept)  # one of each, and nothing half written
    assert (states.parents[1].name, tokens.parent.name) == ("reference", "tokens")
    first, last = (read(sweep.run_dir / job / "manifest.json") for job in "02")
    assert [told["reference"]["files"] for told in (first, last)] == [[str(states)]] * 2
    assert (last["reference"]["kind"], last["reference"]["filled"]) == ("cache", 0)  # it started when another had ended
    assert last["reference"]["rows"] == first["reference"]["rows"] == 16
    assert 0 < last["reference"]["disk_bytes"] == first["reference"]["disk_bytes"] < states.stat().st_size
