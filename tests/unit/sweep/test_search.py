"""A search (``sweep=``) with a run that only writes down what it was asked: what is proposed, learned and repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mollm_cli.configuration.programs import UNLEARN
from mollm_cli.configuration.request import Request
from tests.support.cli import Answer, answer, read

optuna = pytest.importorskip("optuna", reason="the search needs the extra optuna")

TRIALS = 3
SEARCH = f"""
search: {{trials: {TRIALS}, at_once: 2, seed: 0}}
params:
  optimizer.lr: {{low: 1.0e-5, high: 1.0e-3, log: true}}
  engine.max_steps: {{low: 50, high: 400, step: 50}}
fixed:
  engine.stop_at_target: false
"""


class Runs:
    """Runs that measure what their learning rate makes them. started: (job, learning rate), as they were started.

    ends: of a job, how it ends the first time: an exit code, or an exception.
    """

    def __init__(self) -> None:
        self.started: list[tuple[int, float]] = []
        self.ends: dict[int, int | BaseException] = {}

    def __call__(self, request: Request, run_dir: Path, config: dict[str, Any], *_: object) -> int:
        job, rate = int(run_dir.name), config["optimizer"]["lr"]
        self.started.append((job, rate))
        end = self.ends.pop(job, 0)
        (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
        if isinstance(end, BaseException):
            raise end
        after = {"forget_probability": 0.5 - rate, "retain_probability": 0.9 - 2 * rate}
        status = {0: "completed", 3: "gate_failed"}.get(end, "failed")
        said = {"status": status, "exit_code": end, "seed": request.seed, "loss": request.names["loss"]}
        (run_dir / "metrics.json").write_text(json.dumps({"after": after}))
        (run_dir / "manifest.json").write_text(json.dumps(said))
        return end


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runs:
    made = Runs()
    monkeypatch.setattr("mollm_cli.launch.session.session", made)
    (tmp_path / "conf" / "sweep").mkdir(parents=True)
    (tmp_path / "conf" / "sweep" / "five.yaml").write_text(SEARCH)
    monkeypatch.chdir(tmp_path)
    return made


def search(*typed: str) -> Answer:
    return answer(UNLEARN, "--config-dir", "conf", "sweep=five", *typed)


def trials(sweep: Path) -> dict[int, Any]:
    """The trials of the journal that tell what came of a job, by job."""
    from mollm_cli.sweep.search import _study

    found = [trial for trial in _study(sweep, 0).trials if trial.state.is_finished()]
    return {trial.user_attrs["job"]: trial for trial in found}


def test_as_many_jobs_as_asked_for_and_both_values_are_learned(runs: Runs) -> None:
    sweep = search()
    assert sweep.code == 0, sweep.err
    assert f"sweep=five: {TRIALS} runs of at most 400 steps each (at most {TRIALS * 400} steps)" in sweep.err
    assert [job for job, _ in runs.started] == list(range(TRIALS))
    assert len({rate for _, rate in runs.started}) == TRIALS
    assert all(1e-5 <= rate <= 1e-3 for _, rate in runs.started)
    told = trials(sweep.run_dir)
    for job, rate in runs.started:
        assert told[job].values == pytest.approx([0.5 - rate, 0.9 - 2 * rate])
        config = yaml.safe_load((sweep.run_dir / str(job) / "config.yaml").read_text())
        assert config["optimizer"]["lr"] == pytest.approx(told[job].params["optimizer.lr"], rel=1e-5)
        assert config["engine"]["max_steps"] == told[job].params["engine.max_steps"]
        assert config["engine"]["stop_at_target"] is False
    assert f"sweep=five: {TRIALS} of {TRIALS} trials are on the front" in sweep.err  # less forgotten, more kept
    best = max(runs.started, key=lambda run: run[1])
    front = [line for line in sweep.err.splitlines() if line.startswith("job ") and "retain" in line]
    assert front[0].startswith(f"job {best[0]}: forget {0.5 - best[1]:.4f}, retain {0.9 - 2 * best[1]:.4f}: optimizer")
    assert (sweep.run_dir / "sweep.csv").read_text().count("\n") == TRIALS + 1


def test_what_is_typed_wins_and_a_failed_gate_teaches_all_the_same(runs: Runs) -> None:
    runs.ends = {0: 3}
    sweep = search("loss=npo", "optimizer.lr=1e-5,1e-4")
    assert sweep.code == 3, sweep.err
    assert [trial.state.name for trial in trials(sweep.run_dir).values()] == ["COMPLETE"] * TRIALS
    assert {rate for _, rate in runs.started} <= {1e-5, 1e-4}
    assert {read(sweep.run_dir / str(job) / "manifest.json")["loss"] for job in range(TRIALS)} == {"npo"}


@pytest.mark.parametrize("end", [1, RuntimeError("boom")])
def test_a_job_that_fails_ends_no_search_and_teaches_nothing(end: int | BaseException, runs: Runs) -> None:
    runs.ends = {1: end}
    sweep = search()
    assert sweep.code == 1
    assert [job for job, _ in runs.started] == list(range(TRIALS))
    assert [job for job, trial in trials(sweep.run_dir).items() if trial.state.name == "FAIL"] == [1]
    assert f"of {TRIALS} trials are on the front" in sweep.err
    assert f"1 of {TRIALS} jobs are missing" in sweep.err

    again = answer(UNLEARN, "--resume-sweep", str(sweep.run_dir))
    assert again.code == 0, again.err
    assert [job for job, _ in runs.started] == [*range(TRIALS), 1]
    assert all(trial.state.name == "COMPLETE" for job, trial in trials(sweep.run_dir).items())


def test_a_search_that_is_interrupted_goes_on_to_its_end(runs: Runs) -> None:
    runs.ends = {1: KeyboardInterrupt()}
    sweep = search()
    assert sweep.code == 130
    assert [job for job, _ in runs.started] == [0, 1]
    before = read(sweep.run_dir / "0" / "manifest.json")

    again = answer(UNLEARN, "--resume-sweep", str(sweep.run_dir))
    assert again.code == 0, again.err
    assert [job for job, _ in runs.started] == [0, 1, *range(1, TRIALS)]
    rates = dict(runs.started)
    assert runs.started[1] == (1, rates[1])  # what was proposed is what is gone on with
    assert len(set(rates.values())) == TRIALS  # a sampler that starts anew draws nothing twice
    assert read(sweep.run_dir / "0" / "manifest.json") == before
    assert sorted(trials(sweep.run_dir)) == list(range(TRIALS))

    done = answer(UNLEARN, "--resume-sweep", str(sweep.run_dir))
    assert (done.code, len(runs.started)) == (0, TRIALS + 1)
    assert f"{TRIALS} jobs, {TRIALS} finished, 0 running, 0 missing; missing: []" in done.err
