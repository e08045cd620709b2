"""What a sweep refuses, and what --resume-sweep does, with a run that only writes down what it was asked."""

from __future__ import annotations

import importlib.util
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from mollm_cli.cli.arguments import read
from mollm_cli.configuration.compose import combinations, composing, parse
from mollm_cli.configuration.programs import EVALUATE, UNLEARN
from mollm_cli.core.errors import RequestError
from mollm_cli.launch.lock import held
from mollm_cli.sweep.job import _log
from mollm_cli.sweep.search import require_optuna

Answer = Callable[..., tuple[int, str, str]]


def test_jobs_are_in_the_order_of_hydras_own_sweeper() -> None:
    with composing():
        found = combinations(parse(["loss=ga,mollm", "hydra/launcher=joblib", "seed=range(0,2)", "run_name=x"]))
    assert found == [
        ["loss=ga", "seed=0", "run_name=x"],
        ["loss=ga", "seed=1", "run_name=x"],
        ["loss=mollm", "seed=0", "run_name=x"],
        ["loss=mollm", "seed=1", "run_name=x"],
    ]


@pytest.mark.parametrize("typed", ["optimizer.lr=interval(0,1)", "hydra.launcher.n_jobs=1,2"])
def test_what_a_sweep_cannot_list(typed: str) -> None:
    with composing(), pytest.raises(RequestError, match="a sweep must have values that it can list, of a key of ours"):
        combinations(parse([typed]))


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            ["hydra/launcher=joblib", "+tracker.api_key=plumtree-94"],
            "hydra/launcher=joblib writes its jobs down, found the secret +tracker.api_key=*** among them; give it in",
        ),
        (["hydra.sweep.subdir=x"], "hydra.sweep.subdir must be the number of the job, found x; leave it out"),
    ],
)
def test_what_is_refused(typed: list[str], message: str, answer: Answer, tmp_path: Path) -> None:
    code, printed, errors = answer(UNLEARN, "-m", "seed=0", *typed)
    assert (code, printed, list(tmp_path.iterdir())) == (2, "", [])
    assert message in errors


FOREIGN = """
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

class Foreign(Sweeper):
    def setup(self, *, hydra_context, task_function, config): ...
    def sweep(self, arguments): raise AssertionError("it was run")

node = {"_target_": "hydra_plugins.foreign_sweeper.Foreign"}
ConfigStore.instance().store(group="hydra/sweeper", name="foreign", node=node)
"""


@pytest.mark.parametrize("named", [False, True])
def test_another_sweeper_of_hydras_is_refused(
    named: bool, answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exec(FOREIGN, {})  # as Hydra would load a plugin that is installed
    line = ["sweep=seeds"] if named else ["-m", "seed=0,1"]
    refused = answer(UNLEARN, *line, "hydra/sweeper=foreign")[2]
    assert f"type: mollm-unlearn {' '.join(line)} hydra/sweeper=foreign --allow-code hydra_plugins\n" in refused
    code, printed, errors = answer(UNLEARN, *line, "hydra/sweeper=foreign", "--allow-code", "hydra_plugins")
    assert (code, printed, list(tmp_path.iterdir())) == (2, "", [])
    assert (
        "hydra/sweeper must be basic, found foreign, which would wait for a value that no run returns; leave" in errors
    )


def test_what_is_not_installed(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    absent = ("hydra_plugins.hydra_joblib_launcher", "optuna")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *of: None if name in absent else found(name, *of))
    errors = answer(UNLEARN, "-m", "seed=0", "hydra/launcher=joblib")[2]
    assert "hydra/launcher=joblib must find hydra_plugins.hydra_joblib_launcher, found no such package; pip" in errors
    with pytest.raises(RequestError, match=r"sweep=x must find optuna, found no such package; pip install 'mollm-un"):
        require_optuna("x")


def test_flags_that_contradict_each_other() -> None:
    with pytest.raises(RequestError, match="--resume-sweep DIR has its jobs from DIR, found -m; leave it out"):
        read(["--resume-sweep", "x", "-m"])


def test_only_what_is_missing_is_run_again(answer: Answer) -> None:
    code, printed, _ = answer(UNLEARN, "-m", "seed=1,10")  # the second one crashes, and ends well when gone on with
    sweep, finished = Path(printed.strip()), Path(printed.strip()) / "0" / "manifest.json"
    before = finished.stat().st_mtime_ns
    assert code == 1 and json.loads((sweep / "1" / "manifest.json").read_text())["status"] == "failed"

    assert answer(UNLEARN, "--resume-sweep", str(sweep), "seed=3")[0] == 2
    errors = answer(EVALUATE, "--resume-sweep", str(sweep))[2]
    assert "must be the command of that sweep, found mollm-evaluate; use mollm-unlearn" in errors
    with held(sweep):
        errors = answer(UNLEARN, "--resume-sweep", str(sweep))[2]
    assert "a sweep must be run by one process, found another at work in" in errors

    code, printed, errors = answer(UNLEARN, "--resume-sweep", str(sweep))
    assert (code, printed) == (0, f"{sweep}\n"), errors
    assert f"{sweep}: 2 jobs, 1 finished, 0 running, 1 missing; missing: [1]\n" in errors
    assert json.loads((sweep / "1" / "manifest.json").read_text())["resume"] == str(sweep / "1")
    assert finished.stat().st_mtime_ns == before
    assert "missing; mollm" not in errors


@pytest.mark.parametrize("link", ["multirun.yaml", "logs", "1/manifest.json", "experiment", "."])
def test_a_sweep_directory_that_is_a_link_or_holds_one_is_not_gone_on_with(
    link: str, answer: Answer, tmp_path: Path
) -> None:
    sweep = Path(answer(UNLEARN, "-m", "seed=1,10")[1].strip())
    (tmp_path / "victim").mkdir()
    if link == ".":
        sweep.rename(tmp_path / "moved")
        sweep.symlink_to(tmp_path / "moved")
    else:
        (sweep / link).unlink(missing_ok=True)
        (sweep / link).symlink_to(tmp_path / "victim")
    code, _, errors = answer(UNLEARN, "--resume-sweep", str(sweep))
    assert code == 2 and ("must hold no link, found" in errors or "must be a folder, found the link" in errors)
    assert list((tmp_path / "victim").iterdir()) == []


def test_what_hydra_and_optuna_write_to_is_no_other_file(answer: Answer, tmp_path: Path) -> None:
    sweep = Path(answer(UNLEARN, "-m", "seed=1,10")[1].strip())
    mine = tmp_path / "mine"
    mine.write_text("mine")
    for name in ("multirun.yaml", "search.journal"):
        (sweep / name).unlink(missing_ok=True)
        (sweep / name).hardlink_to(mine)
    assert answer(UNLEARN, "--resume-sweep", str(sweep))[0] == 0
    assert mine.stat().st_nlink == 1 and mine.read_text() == "mine"


def test_what_a_job_says_is_added_to_its_own_log(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "logs").mkdir()
    (tmp_path / "mine").write_text("before ")
    (tmp_path / "logs" / "0.txt").hardlink_to(tmp_path / "mine")
    with _log(tmp_path, "0.txt") as said:
        said.write(b"said")
    assert ((tmp_path / "logs" / "0.txt").read_text(), (tmp_path / "mine").read_text()) == ("before said", "before ")
    with _log(tmp_path, "1.txt"):
        pass
    assert stat.S_IMODE((tmp_path / "logs" / "1.txt").stat().st_mode) == 0o600
    (tmp_path / "logs").rename(tmp_path / "elsewhere")
    (tmp_path / "logs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="logs'"), _log(tmp_path, "0.txt"):
        pass
