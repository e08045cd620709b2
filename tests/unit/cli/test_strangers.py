"""Files of strangers, as the command line meets them: nothing of them is run, and the environment is not read."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry

from mollm_cli.configuration.programs import UNLEARN
from mollm_cli.configuration.yaml_source import FileConfigSource

TARGETS = (
    "sympy.sympify",
    "psutil.Popen",
    "pygments.lexers.load_lexer_from_file",
    "mako.template.Template",
    "submitit.core.utils.pickle_load",
    "os.system",
    "trap.spring",
)
WAYS: tuple[tuple[str, ...], ...] = (("--check",), ("--plan",), ("--cfg", "job"), ("--cfg", "job", "--resolve"), ())
"""How a command line looks at a configuration without running it, and runs it."""
CASES = [*((target, WAYS[0]) for target in TARGETS[:-1]), *((TARGETS[-1], way) for way in WAYS)]


FEW = (CASES[0], (TARGETS[-1], WAYS[0]), (TARGETS[-1], WAYS[-1]))
KINDS = [*(("tracker", *c) for c in CASES), *(("experiment", TARGETS[-1], w) for w in WAYS), ("list", *CASES[0])]


def _each(cases: Sequence[tuple[Any, ...]]) -> list[Any]:
    """``cases``, of which most are slow: the others are what is looked at, and what is run."""
    return [pytest.param(*case, marks=() if case[-2:] in FEW else pytest.mark.slow) for case in cases]


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that leaves a file behind when it is as much as imported."""
    sprung = tmp_path / "sprung"
    folder = tmp_path / "site"
    folder.mkdir()
    text = f"import pathlib\npathlib.Path({str(sprung)!r}).touch()\ndef spring(**options): raise ValueError('sprung')\n"
    (folder / "trap.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("trap", None)
    return sprung


def _file(folder: Path, name: str, text: str) -> list[str]:
    """``text`` as a YAML of a stranger's, and the flag that reads it."""
    place = folder / "theirs" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    return ["--config-dir", str(folder / "theirs")]


@pytest.mark.parametrize(("kind", "target", "way"), _each(KINDS))
def test_code_of_a_yaml(kind: str, way: tuple[str, ...], target: str, trap: Path, tmp_path: Path, answer: Any) -> None:
    body = {
        "tracker": f"_target_: {target}\na: 1\n",
        "experiment": f"# @package _global_\ntracker: {{_target_: {target}, a: 1}}\n",
        "list": f"# @package _global_\nevaluation: {{metrics: {{x: [{{_target_: {target}}}]}}}}\n",
    }[kind]
    group = "tracker" if kind == "tracker" else "experiment"
    flag = _file(tmp_path, f"{group}/theirs.yaml", body)
    code, printed, errors = answer(UNLEARN, *flag, f"{group}=theirs", *way)
    assert (code, printed) == (2, "") and not trap.exists() and not (tmp_path / "outputs").exists()
    line = f"type: mollm-unlearn {' '.join(flag)} {group}=theirs {' '.join(way)}".rstrip()
    assert f"{tmp_path}/theirs/{group}/theirs.yaml: " in errors and "_target_ must name code of mollm_cli or" in errors
    assert f"{line} --allow-code {target.partition('.')[0]}\n" in errors


@pytest.mark.parametrize(("target", "way"), _each(CASES))
def test_code_of_a_run_that_is_gone_on_with(
    target: str, way: tuple[str, ...], trap: Path, unfinished: Path, answer: Any
) -> None:
    file = unfinished / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["tracker"] = {"_target_": target, "a": 1}
    file.write_text(yaml.safe_dump(config))
    either = ([f"resume={unfinished}"], ["resume=auto", f"run_dir={unfinished}"])
    for typed in either if target == TARGETS[-1] else either[:1]:
        code, _, errors = answer(UNLEARN, *typed, *way)
        assert code == 2 and not trap.exists()
        assert f"{file}: tracker._target_ must name code of mollm_cli" in errors
        assert f"--allow-code {target.partition('.')[0]}" in errors


def test_what_the_command_line_allows_is_run(trap: Path, tmp_path: Path, answer: Any) -> None:
    flag = _file(tmp_path, "tracker/theirs.yaml", "_target_: trap.spring\n")
    code, _, errors = answer(UNLEARN, *flag, "tracker=theirs", "--check", "--allow-code", "trap")
    assert code == 2 and trap.exists() and "sprung" in errors
    assert answer(UNLEARN, *flag, "tracker=theirs", "--check", "--allow-code", "tra")[2].endswith("--allow-code trap\n")
    assert "--allow-code must be followed by one name, found 'a b'" in answer(UNLEARN, "--allow-code", "a b")[2]


def test_a_run_is_gone_on_with_beside_a_folder_of_ones_own(unfinished: Path, tmp_path: Path, answer: Any) -> None:
    flag = _file(tmp_path, "tracker/theirs.yaml", "_target_: mollm_cli.trackers.none.Silent\n")
    for typed in ([f"resume={unfinished}"], ["resume=auto", f"run_dir={unfinished}", "tracker=theirs"]):
        code, _, errors = answer(UNLEARN, *flag, *typed, "--check")
        assert code == 0, errors


HYDRA = {
    "callbacks: {x: {_target_: trap.spring}}": "hydra.callbacks.x._target_ must name code of mollm_cli or of a pack",
    "launcher: {_target_: trap.spring}": "hydra.launcher._target_ must name code of mollm_cli",
    "sweeper: {_target_: trap.spring}": "hydra.sweeper._target_ must name code of mollm_cli",
    "env: {x: [{_target_: mollm_cli.losses.ga.ga}]}": "hydra.env.x[0]._target_ must be one of the callables",
    "job_logging: {handlers: {x: {(): trap.spring}}}": "hydra/job_logging must be none, because logging can call any",
    "hydra_logging: {handlers: {x: {class: trap.spring}}}": "hydra/hydra_logging must be none, because logging can",
    "job: {env_set: {LD_PRELOAD: x.so}}": "hydra.job.env_set.LD_PRELOAD must be typed on the command line, because it",
    "job: {env_copy: [HOME]}": "hydra.job.env_set.HOME must be typed on the command line",
    "output_subdir: x": "hydra.output_subdir must be typed on the command line",
}


@pytest.mark.parametrize(
    ("way", "body"), [*(("--check", body) for body in HYDRA), *(("-m", body) for body in list(HYDRA)[:3])]
)
def test_how_hydra_runs_jobs(way: str, body: str, trap: Path, tmp_path: Path, answer: Any) -> None:
    flag = _file(tmp_path, "experiment/theirs.yaml", f"# @package _global_\nhydra:\n  {body}\n")
    code, printed, errors = answer(UNLEARN, *flag, "experiment=theirs", way)
    assert (code, printed) == (2, "") and not trap.exists() and not (tmp_path / "outputs").exists()
    assert HYDRA[body] in errors or HYDRA[body].replace("hydra.", "theirs.yaml: hydra.", 1) in errors


def test_a_file_may_be_put_anywhere_but_runs_nothing_there(trap: Path, tmp_path: Path, answer: Any) -> None:
    flag = _file(tmp_path, "loss/theirs.yaml", "x: {_target_: mollm_cli.losses.ga.ga}\n")
    errors = answer(UNLEARN, *flag, "+loss@hydra.callbacks=theirs", "--check")[2]
    assert "hydra.callbacks.x._target_ must be one of the callables" in errors
    _file(tmp_path, "loss/theirs.yaml", "# @package hydra.job\nenv_set: {PATH: x}\n")
    errors = answer(UNLEARN, *flag, "loss=theirs", "--check")[2]
    assert "hydra.job.env_set.PATH must be typed on the command line" in errors


def test_plain_options_of_a_known_launcher_are_anybodys(tmp_path: Path, answer: Any) -> None:
    text = "defaults: [local, _self_]\nn_jobs: 1\n"
    flag = _file(tmp_path, "hydra/launcher/theirs.yaml", text)
    typed = [*flag, "-m", "seed=0,1", "hydra/launcher=theirs", "--check"]
    assert answer(UNLEARN, *typed)[0] == 0
    _file(tmp_path, "hydra/launcher/theirs.yaml", "defaults: [slurm, _self_]\nsetup: [touch sprung]\n")
    errors = answer(UNLEARN, *typed)[2]
    assert "hydra.launcher.setup[0] must be typed on the command line, because it decides what is run, found" in errors
    assert answer(UNLEARN, *typed, "hydra.launcher.setup=[touch mine]")[0] == 0


def test_what_is_typed_may_say_how_jobs_run(tmp_path: Path, answer: Any) -> None:
    flag = _file(tmp_path, "experiment/theirs.yaml", "# @package _global_\nseed: 1\n")
    typed = ["experiment=theirs", "+hydra.job.env_set.X=1", "hydra.output_subdir=null"]
    assert answer(UNLEARN, *flag, *typed, "--check")[0] == 0


def test_a_search_path_is_a_folder(trap: Path, answer: Any) -> None:
    errors = answer(UNLEARN, "hydra.searchpath=[pkg://trap]", "--check")[2]
    assert "hydra.searchpath must name folders, found pkg://trap, which would run a package" in errors
    assert not trap.exists()


SWEPT = {
    "hydra.job.env_set.LD_PRELOAD": "hydra.job.env_set.LD_PRELOAD must be typed on the command line",
    "hydra/callbacks": "hydra.callbacks must be typed on the command line",
    "+tracker._target_": "tracker._target_ must name code of mollm_cli",
    "run_name": "run_name must not read the environment unasked, found ${oc.env:HOME}",
}


@pytest.mark.parametrize("key", SWEPT)
@pytest.mark.parametrize("how", ["sweep", "params"])
def test_overrides_of_a_file(how: str, key: str, trap: Path, tmp_path: Path, answer: Any) -> None:
    value = "${oc.env:HOME}" if key == "run_name" else "trap.spring"
    if how == "sweep":
        flag = _file(tmp_path, "sweep/theirs.yaml", f"params: {{seed: [0, 1]}}\nfixed: {{'{key}': '{value}'}}\n")
        typed = ["sweep=theirs"]
    else:
        text = f"# @package _global_\nhydra: {{sweeper: {{params: {{'{key}': '{value}'}}}}}}\n"
        flag, typed = _file(tmp_path, "experiment/theirs.yaml", text), ["-m", "experiment=theirs"]
    code, printed, errors = answer(UNLEARN, *flag, *typed, "--check")
    assert (code, printed) == (2, "") and not trap.exists()
    assert SWEPT[key] in errors or SWEPT[key].partition(" must")[2] in errors


@pytest.mark.parametrize("key", SWEPT)
def test_overrides_of_a_sweep_that_is_gone_on_with(key: str, trap: Path, tmp_path: Path, answer: Any) -> None:
    value = "${oc.env:HOME}" if key == "run_name" else "trap.spring"
    content = {"command": "unlearn", "base": [f"{key}={value}"], "lines": [["seed=1"]], "named": {}}
    (tmp_path / "sweep.json").write_text(json.dumps(content))
    code, printed, errors = answer(UNLEARN, "--resume-sweep", str(tmp_path))
    assert (code, printed) == (2, "") and not trap.exists()
    assert SWEPT[key] in errors and f"{tmp_path}/sweep.json" in errors


def test_a_sweep_that_was_allowed_something_is_allowed_it_again(trap: Path, tmp_path: Path, answer: Any) -> None:
    flag = _file(tmp_path, "optimizer/theirs.yaml", "_target_: kept_trap.Kept\n")
    text = "class Kept:\n    schedule = 'constant'\n    def __init__(self, lr=1e-3): self.lr = lr\n"
    (tmp_path / "site" / "kept_trap.py").write_text(text)
    line = ["-m", "seed=1,10", "optimizer=theirs", *flag, "--allow-code", "kept_trap"]
    code, printed, errors = answer(UNLEARN, *line)
    assert code == 1, errors
    again = answer(UNLEARN, "--resume-sweep", printed.strip())
    assert again[0] != 0 and "--allow-code kept_trap" in again[2]
    code, _, errors = answer(UNLEARN, "--resume-sweep", printed.strip(), "--allow-code", "kept_trap")
    assert code == 0, errors


def test_hydras_own_flags_read_no_more(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = SourcesRegistry.instance().types
    monkeypatch.setitem(sources, "file", file_config_source.FileConfigSource)
    monkeypatch.setattr(sys, "argv", ["mollm-unlearn"])
    monkeypatch.setattr("hydra.main", lambda **_: lambda task: lambda: None)
    assert answer(UNLEARN, "--info=config")[0] == 0 and sources["file"] is FileConfigSource
