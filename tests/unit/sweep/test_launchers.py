"""What a sweep refuses, and what --resume-sweep does, with a run that only writes down what it was asked."""

from __future__ import annotations

import importlib.util
import json
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from hydra.core.config_store import ConfigStore

from mollm_cli.cli.arguments import read
from mollm_cli.configuration.compose import combinations, compose_job, composing, parse
from mollm_cli.configuration.programs import EVALUATE, UNLEARN
from mollm_cli.core.errors import RequestError
from mollm_cli.core.manifest import Manifest
from mollm_cli.launch.lock import held
from mollm_cli.sweep import handing_out
from mollm_cli.sweep.handing_out import _built, check_launching, run_jobs
from mollm_cli.sweep.job import _log
from mollm_cli.sweep.launchers import SweepLauncher, SweepStop
from mollm_cli.sweep.ledger import SweepLedger
from mollm_cli.sweep.search import require_optuna

Answer = Callable[..., tuple[int, str, str]]


def test_jobs_are_in_the_order_of_hydras_own_sweeper() -> None:
    with composing():
        found = combinations(parse(["loss=ga,mollm", "hydra/launcher=local", "seed=range(0,2)", "run_name=x"]))
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
            ["hydra/launcher=local", "+tracker.api_key=plumtree-94"],
            "hydra/launcher=local writes its jobs down, found the secret +tracker.api_key=*** among them; give it in",
        ),
        (
            ["hydra/launcher=local", "hydra.launcher.n_jobs=0"],
            "hydra.launcher.n_jobs must be >= 1, found 0; set how many jobs run at a time",
        ),
        (["hydra/launcher=local", "hydra.launcher.n_jobs=two"], "hydra.launcher.n_jobs"),
        (["hydra.sweep.subdir=x"], "hydra.sweep.subdir must be the number of the job, found x; leave it out"),
    ],
)
def test_what_is_refused(typed: list[str], message: str, answer: Answer, tmp_path: Path) -> None:
    code, printed, errors = answer(UNLEARN, "-m", "seed=0", *typed)
    assert (code, printed, list(tmp_path.iterdir())) == (2, "", [])
    assert message in errors


FOREIGN = {
    "sweeper": "hydra/sweeper must be basic, found foreign, which would wait for a value that no run returns; leave",
    "launcher": "hydra/launcher must be basic, local or slurm, found foreign, which would not see what becomes of",
}


@pytest.mark.parametrize("part", FOREIGN)
@pytest.mark.parametrize("named", [False, True])
def test_another_plugin_of_hydras_is_refused(named: bool, part: str, answer: Answer, tmp_path: Path) -> None:
    node = {"_target_": "hydra_plugins.foreign.Foreign"}
    ConfigStore.instance().store(group=f"hydra/{part}", name="foreign", node=node)  # as one that is installed
    line = ["sweep=seeds"] if named else ["-m", "seed=0,1"]
    refused = answer(UNLEARN, *line, f"hydra/{part}=foreign")[2]
    assert f"type: mollm-unlearn {' '.join(line)} hydra/{part}=foreign --allow-code hydra_plugins\n" in refused
    code, printed, errors = answer(UNLEARN, *line, f"hydra/{part}=foreign", "--allow-code", "hydra_plugins")
    assert (code, printed, list(tmp_path.iterdir())) == (2, "", [])
    assert FOREIGN[part] in errors


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("local", {"n_jobs": 2}),
        ("joblib", {"n_jobs": 2}),
        ("submitit_local", {"n_jobs": 2}),
        ("slurm", {"notice": 300, "timeouts": 20}),
        ("submitit_slurm", {"notice": 300, "timeouts": 20}),
    ],
)
def test_what_a_launcher_is_called(name: str, options: dict[str, int]) -> None:
    with composing():
        composed = compose_job("config", [f"hydra/launcher={name}", "hydra.sweep.dir=swept"])
    check_launching(composed, [])
    found = vars(_built(composed))
    assert {key: found[key] for key in options} == options
    assert found.get("folder", "swept/.submitit/%j") == "swept/.submitit/%j"


def test_no_other_node_may_be_a_launcher(answer: Answer) -> None:
    errors = answer(UNLEARN, "tracker._target_=mollm_cli.sweep.launchers.LocalLauncher", "--check")[2]
    assert "tracker._target_ must be one of the callables that conf/ names, found 'mollm_cli.sweep.launchers" in errors


class Foretold(SweepLauncher):
    """A launcher that settles its jobs as it is told, and breaks on the last one."""

    batches: ClassVar[list[list[int]]] = []

    def carry_out(self, jobs: SweepLedger, numbers: Sequence[int], stop: SweepStop) -> None:
        self.batches.append([number for number in numbers if jobs.state(number) == "missing"])
        if 3 in numbers:
            raise OSError("no sbatch here")
        for number in numbers:
            Manifest.amend(jobs.folder(number), status="completed", exit_code=0)


def test_jobs_are_handed_out_in_batches_and_what_a_launcher_leaves_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(handing_out, "_built", lambda composed: Foretold())
    jobs = SweepLedger(tmp_path, "unlearn", (), tuple((f"seed={seed}",) for seed in range(4)), {})
    jobs.write()
    for number in range(4):
        jobs.folder(number).mkdir()
    with composing():
        composed = compose_job("config", ["hydra/launcher=local", "hydra.sweeper.max_batch_size=3"])
    assert run_jobs(jobs, 0, composed) is None
    assert Foretold.batches == [[0, 1, 2], [3]]
    assert jobs.codes() == [0, 0, 0, 1]
    assert "no sbatch here" in capsys.readouterr().err


def test_what_is_not_installed(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    absent = ("submitit", "optuna")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *of: None if name in absent else found(name, *of))
    errors = answer(UNLEARN, "-m", "seed=0", "hydra/launcher=slurm")[2]
    assert "hydra/launcher=slurm must find submitit, found no such package; pip install 'mollm" in errors
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


def test_a_sweep_directory_that_is_a_link_or_holds_one_is_not_gone_on_with(answer: Answer, tmp_path: Path) -> None:
    sweep = Path(answer(UNLEARN, "-m", "seed=1,10")[1].strip())
    (tmp_path / "victim").mkdir()
    for link in (sweep / "multirun.yaml", sweep / "logs", sweep / "1" / "manifest.json", sweep / "experiment", sweep):
        away = link.rename(tmp_path / "away") if link.exists() else None
        link.symlink_to(away if away and link == sweep else tmp_path / "victim")
        code, _, errors = answer(UNLEARN, "--resume-sweep", str(sweep))
        assert code == 2 and ("must hold no link, found" in errors or "must be a folder, found the link" in errors)
        link.unlink()
        if away:
            away.rename(link)
    assert list((tmp_path / "victim").iterdir()) == []
    assert answer(UNLEARN, "--resume-sweep", str(sweep))[0] == 0


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
