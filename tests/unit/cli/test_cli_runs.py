from __future__ import annotations

import csv
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from mollm_cli.configuration.programs import EVALUATE, FINETUNE, UNLEARN, Command
from mollm_cli.configuration.request import Request
from mollm_cli.core.errors import RequestError
from mollm_cli.core.manifest import Manifest
from mollm_cli.launch import run_spec
from mollm_cli.launch.door import claim
from mollm_cli.sweep.conduct import worst

Answer = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("command", [UNLEARN, FINETUNE, EVALUATE], ids=lambda command: command.name)
def test_stdout_is_one_line_the_run_directory(command: Command, answer: Answer, tmp_path: Path) -> None:
    code, printed, errors = answer(command)
    assert code == 0
    run_dir = Path(printed.removesuffix("\n"))
    assert "\n" not in str(run_dir) and run_dir.is_absolute() and run_dir.parents[2] == tmp_path
    assert run_dir.name.endswith(f"_{'mollm' if command is UNLEARN else command.name}")
    assert errors == "noise\n"  # what the run prints is for people


def test_what_the_run_is_handed(answer: Answer) -> None:
    run_dir = Path(answer(UNLEARN, "loss=ga", "engine.max_steps=3", "run_name=mine")[1].strip())
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    assert (config["engine"]["max_steps"], config["run_name"], config["output_root"]) == (3, "mine", "outputs")
    assert "hydra" not in config
    assert config["names"]["loss"] == "ga" and config["names"]["solver"] == "weighted_sum"
    assert config["names"]["dataset@data.forget"] == "authors-forget"
    assert json.loads((run_dir / "manifest.json").read_text())["names"] == config["names"]


def test_what_is_run_is_what_was_checked(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is composed once, and the typed request is built once."""
    composed, built = [], []
    compose, build = ConfigLoaderImpl.load_configuration, run_spec.request

    def load(*told: Any, **named: Any) -> Any:
        composed.append(compose(*told, **named))
        return composed[-1]

    def request(*told: Any) -> Request:
        built.append(build(*told))
        return built[-1]

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", load)
    monkeypatch.setattr(run_spec, "request", request)
    assert answer(UNLEARN, "seed=1")[0] == 0
    assert (len(composed), len(built)) == (1, 1)


def test_two_runs_never_share_a_directory(answer: Answer) -> None:
    assert answer(UNLEARN)[1] != answer(UNLEARN)[1]


def test_nothing_but_the_run_writes_into_the_run_directory(answer: Answer) -> None:
    run_dir = Path(answer(UNLEARN)[1].strip())
    assert {file.name for file in run_dir.iterdir()} == {"config.yaml", "manifest.json", "resume"}


@pytest.mark.parametrize(("seed", "expected"), [(7, 1), (8, 3), (9, 2), (10, 1), (11, 130), (12, 143), (13, 129)])
def test_exit_codes(seed: int, expected: int, answer: Answer) -> None:
    code, printed, errors = answer(UNLEARN, f"seed={seed}")
    assert code == expected
    if expected == 2:  # refused before the first file: no directory is left behind
        assert printed == "" and not list(Path("outputs").glob("*/*"))
        assert errors == "noise\nmollm-unlearn: data.forget.path: no such file\n"
    else:
        assert Path(printed.strip()).is_dir()
    assert ("RuntimeError: boom" in errors) == (seed == 10)


def test_the_command_line_is_put_back(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["mollm-unlearn", "seed=1"])
    answer(UNLEARN, "seed=1")
    assert sys.argv == ["mollm-unlearn", "seed=1"]


def test_a_sweep_runs_every_job_and_ends_with_the_worst(answer: Answer, tmp_path: Path) -> None:
    code, printed, errors = answer(UNLEARN, "loss=ga,mollm", "-m", "seed=8,7,10")
    assert code == 1
    sweep_dir = Path(printed.removesuffix("\n"))
    assert sweep_dir.parents[1] == tmp_path / "outputs" / "sweeps"
    jobs = [json.loads(file.read_text()) for file in sorted(sweep_dir.glob("*/manifest.json"))]
    assert [job["seed"] for job in jobs] == [8, 7, 10] * 2
    assert [job["names"]["loss"] for job in jobs if "names" in job] == ["ga", "ga", "mollm", "mollm"]
    assert len(list(sweep_dir.glob("*/config.yaml"))) == 6  # those that crashed began, too
    assert "job 4: loss=mollm seed=7\n" in errors
    assert f"4 of 6 jobs are missing; mollm-unlearn --resume-sweep {sweep_dir} runs those\n" in errors
    with (sweep_dir / "sweep.csv").open(newline="") as file:
        assert [row["exit_code"] for row in csv.DictReader(file)] == ["3", "1", "1", "3", "1", "1"]
    assert "run 5 (B, seed 10): failed, in no mean (it ended with exit code 1)" in (sweep_dir / "sweep.md").read_text()
    assert (sweep_dir / "sweep.html").read_text().startswith("<!doctype html>")


def test_a_sweep_of_gates_that_fail(answer: Answer) -> None:
    assert answer(UNLEARN, "-m", "seed=1,8")[0] == 3


@pytest.mark.parametrize(
    ("seed", "expected"), [(11, 130), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((12, 143), (13, 129)))]
)
def test_an_interrupted_job_ends_the_sweep(seed: int, expected: int, answer: Answer) -> None:
    code, printed, _ = answer(UNLEARN, "-m", f"seed={seed},1")
    assert code == expected
    assert [job.name for job in Path(printed.strip()).iterdir() if job.is_dir()] == ["0"]


def test_a_sweep_of_refused_jobs(answer: Answer) -> None:
    code, printed, _ = answer(UNLEARN, "-m", "seed=9")
    assert code == 2 and len(printed.splitlines()) == 1
    with (Path(printed.strip()) / "sweep.csv").open(newline="") as file:
        assert [(row["status"], row["exit_code"], row["seed"]) for row in csv.DictReader(file)] == [
            ("failed", "2", "9")
        ]


def test_a_table_that_cannot_be_written_changes_no_exit_code(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(sweep_dir: Path) -> None:
        raise RequestError("manifest.json cannot be read")

    monkeypatch.setattr("mollm_cli.reporting.run_comparison.write_sweep_csv", refuse)
    code, printed, errors = answer(UNLEARN, "-m", "seed=8")
    assert code == 3 and "sweep.csv is not written: manifest.json cannot be read" in errors
    assert Path(printed.strip()).is_dir()


@pytest.mark.parametrize("last", ["engine.max_steps=1,0", "loss=ga,mollmm", "solver=weighted_sum,pcgradd"])
def test_one_wrong_job_refuses_the_sweep_before_it_starts(last: str, answer: Answer, tmp_path: Path) -> None:
    code, printed, errors = answer(UNLEARN, "-m", "seed=0,1,2", last)
    assert (code, printed, errors.count("\n")) == (2, "", 1)
    assert list(tmp_path.iterdir()) == []


def test_check_sees_every_job_and_makes_nothing(answer: Answer, checked: list[Request], tmp_path: Path) -> None:
    code, printed, errors = answer(UNLEARN, "--check", "-m", "loss=ga,mollm", "seed=0,1")
    assert (code, printed, errors, list(tmp_path.iterdir())) == (0, "", "", [])
    assert sorted((r.names["loss"], r.seed) for r in checked) == [("ga", 0), ("ga", 1), ("mollm", 0), ("mollm", 1)]


def test_cfg_prints_the_configuration_alone(answer: Answer, tmp_path: Path) -> None:
    code, printed, errors = answer(UNLEARN, "loss=ga", "--cfg", "job")
    assert (code, errors, list(tmp_path.iterdir())) == (0, "", [])
    assert yaml.safe_load(printed)["run_name"] == "${hydra:runtime.choices.loss}"
    resolved = yaml.safe_load(answer(UNLEARN, "loss=ga", "--cfg", "job", "--resolve")[1])
    assert resolved["run_name"] == "ga"
    assert resolved.keys() == yaml.safe_load(printed).keys() and "hydra" not in resolved


def test_a_directory_of_somebody_else_is_refused(answer: Answer, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    code, printed, errors = answer(UNLEARN, "hydra.run.dir=taken")
    assert (code, printed) == (2, "") and "the run directory must be new, found 'taken'" in errors


def test_an_output_folder_that_is_a_file_is_refused(answer: Answer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, errors = answer(UNLEARN, "output_root=file")
    assert code == 2 and "output_root must be a folder that can be written to" in errors


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RequestError, match=r"output_root must be a folder .* Permission denied"):
        claim(tmp_path / "run")


def test_a_folder_of_the_users_own_yaml(answer: Answer, tmp_path: Path) -> None:
    (tmp_path / "my conf" / "loss").mkdir(parents=True)
    (tmp_path / "my conf" / "loss" / "mine.yaml").write_text("# Mine.\n_target_: mollm_cli.losses.ga.ga\n")
    folder = str(tmp_path / "my conf")
    code, printed, _ = answer(UNLEARN, "--config-dir", folder, "loss=mine")
    assert code == 0 and printed.strip().endswith("_mine")
    assert answer(UNLEARN, "-m", "--config-dir", folder, "loss=mine,ga")[0] == 0
    assert re.search(r"^mine +Mine\.$", answer(UNLEARN, "--config-dir", folder, "--list", "loss")[1], re.MULTILINE)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([], 0), ([0, 0], 0), ([0, 3], 3), ([3, 2], 2), ([3, 1, 2], 1), ([1, 130], 130), ([129, 1], 129), ([64], 1)],
)
def test_worst(codes: list[int], expected: int) -> None:
    assert worst(codes) == expected


@pytest.mark.parametrize(
    ("manifest", "expected"), [('{"exit_code": 3}', 3), ("{}", 1), ('{"exit_code": null}', 1), ("{", 1)]
)
def test_exit_code_of_a_run_directory(manifest: str, expected: int, tmp_path: Path) -> None:
    assert Manifest.exit_code(tmp_path) == 1
    (tmp_path / "manifest.json").write_text(manifest)
    assert Manifest.exit_code(tmp_path) == expected
