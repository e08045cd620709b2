from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mollm_cli.configuration.programs import FINETUNE, UNLEARN
from mollm_cli.configuration.request import Request

Answer = Callable[..., tuple[int, str, str]]


def _resumed(run_dir: Path) -> dict[str, object]:
    config: dict[str, object] = yaml.safe_load((run_dir / "config.yaml").read_text())
    return config


def test_only_what_is_typed_now_changes(answer: Answer, unfinished: Path) -> None:
    before = _resumed(unfinished)
    code, printed, errors = answer(UNLEARN, f"resume={unfinished}", "run_name=mine", "engine.log_every=2")
    assert (code, printed, errors) == (0, f"{unfinished}\n", "noise\n")
    after = _resumed(unfinished)
    assert after["run_name"] == "mine" and after["engine"] == {**before["engine"], "log_every": 2}  # type: ignore[dict-item]
    assert {**after, "run_name": "ga", "engine": before["engine"]} == before
    assert json.loads((unfinished / "manifest.json").read_text())["resume"] == str(unfinished)


def test_a_group_may_be_repeated_but_not_changed(answer: Answer, unfinished: Path) -> None:
    assert answer(UNLEARN, f"resume={unfinished}", "loss=ga")[0] == 0
    code, printed, errors = answer(UNLEARN, f"resume={unfinished}", "loss=mollm")
    assert (code, printed) == (2, "")
    assert "a resumed run must keep loss=ga, found loss=mollm; leave it out, or start a new run" in errors
    assert "a resumed run must keep loss=ga, found ~loss" in answer(UNLEARN, f"resume={unfinished}", "~loss")[2]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("engine.max_stesp=3", "engine.max_stesp is not a key; did you mean 'max_steps'"),
        ("engine.max_steps=ten", "engine.max_steps must be an integer, found 'ten'"),
        ("+loss.typo=1", "loss.typo is not a key"),
        ("engine.max_steps.x=1", "engine.max_steps is a single value"),
        ("~engine.max_stepz", "engine.max_stepz is not a key"),
    ],
)
def test_wrong_overrides(override: str, message: str, answer: Answer, unfinished: Path) -> None:
    code, printed, errors = answer(UNLEARN, f"resume={unfinished}", override)
    assert (code, printed) == (2, "") and message in errors


def test_keys_may_be_added_and_deleted(answer: Answer, unfinished: Path) -> None:
    assert answer(UNLEARN, f"resume={unfinished}", "~engine.log_every", "++engine.micro_batch=2")[0] == 0
    engine = _resumed(unfinished)["engine"]
    assert isinstance(engine, dict) and "log_every" not in engine and engine["micro_batch"] == 2


def test_a_run_of_an_earlier_version_is_refused_in_one_sentence(answer: Answer, unfinished: Path) -> None:
    """As version 0.1.0 wrote it, before its files moved."""
    config = (unfinished / "config.yaml").read_text().replace("models.model_settings.Model", "models.settings.Model")
    (unfinished / "config.yaml").write_text(config)
    wanted = (
        "mollm-unlearn: resume must name a run that this version can go on with, found mollm_cli.models.settings.Model "
        f"in {unfinished}/config.yaml, which another version had; go on with that version (manifest.json names it), or "
        "start a new run\n"
    )
    assert answer(UNLEARN, f"resume={unfinished}") == (2, "", wanted)
    assert answer(UNLEARN, "resume=auto", f"run_dir={unfinished}") == (2, "", wanted)


@pytest.mark.parametrize("missing", ["config.yaml", "resume"])
def test_a_directory_that_cannot_be_gone_on_with(missing: str, answer: Answer, unfinished: Path) -> None:
    (unfinished / missing).rename(unfinished / "elsewhere")
    code, printed, errors = answer(UNLEARN, f"resume={unfinished}")
    assert (code, printed) == (2, "")
    assert f"resume must name a run directory with config.yaml and resume/, found no {missing} in" in errors


TORN = ("a: [1\n", "- 1\n", "", "\x00")


@pytest.mark.parametrize("text", TORN)
def test_a_configuration_that_cannot_be_read(text: str, answer: Answer, unfinished: Path) -> None:
    (unfinished / "config.yaml").write_text(text)
    assert "resume must find the run's configuration, found " in answer(UNLEARN, f"resume={unfinished}")[2]


@pytest.mark.parametrize("text", TORN)
def test_auto_takes_a_torn_configuration_from_the_command_line_again(
    text: str, answer: Answer, unfinished: Path
) -> None:
    (unfinished / "config.yaml").write_text(text)
    (unfinished / "manifest.json").write_text('{"status": "compl')
    code, printed, errors = answer(UNLEARN, "resume=auto", f"run_dir={unfinished}", "loss=ga", "seed=1")
    assert (code, printed) == (0, f"{unfinished}\n")
    assert "warning: resume must find the run's configuration, found " in errors
    assert _resumed(unfinished)["seed"] == 1


@pytest.mark.parametrize("manifest", ["", "[]", "null", '{"exit_code": 1}', "{", '"completed"', "[" * 100_000])
def test_auto_goes_on_whatever_a_manifest_says(manifest: str, answer: Answer, unfinished: Path) -> None:
    (unfinished / "manifest.json").write_text(manifest)
    line = ["resume=auto", f"run_dir={unfinished}", "loss=ga", "engine.max_steps=5", "seed=10"]
    assert answer(UNLEARN, *line)[:2] == (0, f"{unfinished}\n")
    assert json.loads((unfinished / "manifest.json").read_text())["resume"] == str(unfinished)


def test_what_the_numbers_depend_on_is_refused_by_key_with_both_values(answer: Answer, unfinished: Path) -> None:
    before = (unfinished / "config.yaml").read_text()
    typed = ["optimizer.lr=0.5", "engine.clip_norm=null", "engine.max_steps=9", "evaluation.limit=1", "seed=1"]
    code, printed, errors = answer(UNLEARN, f"resume={unfinished}", *typed)
    assert (code, printed) == (2, "") and (unfinished / "config.yaml").read_text() == before
    wanted = (
        "a run that goes on must keep what its numbers depend on, found seed=1 (it was 10), optimizer.lr=0.5 (it was "
        "auto), engine.clip_norm=null (it was 1.0); leave it out, or start a new run"
    )
    assert sorted(errors.partition("found ")[2]) == sorted(wanted.partition("found ")[2] + "\n")
    assert "max_steps" not in errors and errors.startswith(f"mollm-unlearn: {wanted.partition(' found')[0]}")


def test_another_tracker_may_be_chosen(answer: Answer, unfinished: Path) -> None:
    code, _, errors = answer(UNLEARN, f"resume={unfinished}", "tracker.project=mine", "tracker=wandb")
    assert code == 0, errors
    after = _resumed(unfinished)
    assert after["tracker"] == {
        "_target_": "mollm_cli.trackers.accelerated.Accelerated",
        "kind": "wandb",
        "project": "mine",
    }
    assert after["names"]["tracker"] == "wandb"  # type: ignore[index]
    assert answer(UNLEARN, f"resume={unfinished}", "tracker=wandb")[0] == 0
    assert _resumed(unfinished)["tracker"] == after["tracker"]
    assert "a resumed run must keep tracker=wandb" in answer(UNLEARN, f"resume={unfinished}", "~tracker")[2]


def test_another_commands_run(answer: Answer, unfinished: Path) -> None:
    code, _, errors = answer(FINETUNE, f"resume={unfinished}")
    assert code == 2 and "is not a key" in errors


def test_check_and_cfg_of_a_resumed_run(answer: Answer, unfinished: Path, checked: list[Request]) -> None:
    assert answer(UNLEARN, f"resume={unfinished}", "--check", "run_name=mine") == (0, "", "")
    assert [request.run_name for request in checked] == ["mine"]
    assert "max_steps: 5\n" in answer(UNLEARN, f"resume={unfinished}", "--cfg", "job")[1]


def test_auto_starts_goes_on_and_is_done(answer: Answer, tmp_path: Path) -> None:
    line = ["resume=auto", "run_dir=slurm/job", "loss=ga"]
    run_dir = tmp_path / "slurm" / "job"
    assert answer(UNLEARN, *line, "seed=10")[:2] == (1, f"{run_dir}\n")
    assert not (run_dir / "manifest.json").exists()
    assert _resumed(run_dir)["run_dir"] is None
    assert answer(UNLEARN, *line, "seed=10")[:2] == (0, f"{run_dir}\n")
    assert json.loads((run_dir / "manifest.json").read_text())["resume"] == str(run_dir)
    (run_dir / "config.yaml").unlink()
    assert answer(UNLEARN, *line, "seed=10") == (0, f"{run_dir}\n", "")  # completed: nothing runs


def test_auto_starts_again_where_there_is_no_resume_point(answer: Answer, tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "manifest.json").write_text('{"status": "failed", "exit_code": 1}')
    assert answer(UNLEARN, "resume=auto", "run_dir=job")[:2] == (0, f"{tmp_path / 'job'}\n")
    assert json.loads((tmp_path / "job" / "manifest.json").read_text())["resume"] is None


def test_auto_of_a_run_whose_gate_failed_says_so_again(answer: Answer, tmp_path: Path) -> None:
    line = ["resume=auto", "run_dir=job", "seed=8"]
    assert answer(UNLEARN, *line)[0] == 3
    assert answer(UNLEARN, *line) == (3, f"{tmp_path / 'job'}\n", "")


def test_a_secret_is_given_again(answer: Answer, unfinished: Path) -> None:
    file = unfinished / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["tracker"]["api_key"] = "***"
    file.write_text(yaml.safe_dump(config))
    message = "tracker.api_key is a secret that no run directory keeps, found ***; add tracker.api_key=VALUE"
    assert message in answer(UNLEARN, f"resume={unfinished}")[2]
    assert message not in answer(UNLEARN, f"resume={unfinished}", "tracker.api_key=abc", "--check")[2]


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_a_configuration_that_is_no_file(make: Any, answer: Answer, unfinished: Path) -> None:
    file = unfinished / "config.yaml"
    file.unlink()
    make(file)
    code, _, errors = answer(UNLEARN, f"resume={unfinished}")
    assert code == 2 and f"{file} unreadable: a folder, a pipe or a device in its place" in errors
