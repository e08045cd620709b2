"""What answers at once imports nothing heavy, and what is wrong leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mollm_cli.cli.main import main
from mollm_cli.configuration import outline
from mollm_cli.configuration.programs import UNLEARN
from mollm_cli.core.safe_yaml import load_yaml
from tests.support.cli import answer

HEAVY = ("torch", "transformers", "datasets", "peft", "accelerate", "pyarrow", "matplotlib", "scipy", "jinja2")
PROBE = """
import atexit, json, sys
def tell():
    loaded = [m for m in {heavy!r} if m in sys.modules]
    print(json.dumps({{"heavy": loaded, "hydra": "hydra" in sys.modules}}), file=sys.stderr)
atexit.register(tell)
sys.argv = ["mollm-{command}", *{arguments!r}]
from mollm_cli.cli import {command}
{command}()
"""

READING = "reading the request, loading libraries ..."
"""The first line of what is not wrong at first sight."""
WRONG = ["+loss.typo=1", "a=b=c", "~loss.typo", "engine.max_steps='ten'", "--chekc"]
AT_ONCE = {
    "loss=mollmm": "loss must be one of its choices, found 'mollmm'; did you mean 'mollm'",
    "+dataset@data.holdout=tofuu": "dataset must be one of its choices, found 'tofuu'; did you mean 'tofu'",
    "dataset@data.holdoutt=tofu": "dataset@data.holdoutt is not in the defaults list; did you mean 'dataset@data.",
    "enigne.max_steps=3": "enigne is not a key; did you mean 'engine'",
    "engine.max_step=3": "engine.max_step is not a key; did you mean 'max_steps'",
    "data.forget.pat=x": "data.forget.pat is not a key; did you mean 'path'",
    "engine.max_steps=ten": "engine.max_steps must be an integer, found 'ten'",
    "engine.max_steps=0": "engine.max_steps must be >= 1, found 0",
    "evaluation.limit=few": "evaluation.limit must be an integer",
    "seed=x": "seed must be an integer",
    "optimizer.lr=-1": "optimizer.lr must be",
    "data=custom": "data 'custom': forget needs rows, found no source",
    "data.forget.path=/absent/rows.jsonl": "data.forget.path=/absent/rows.jsonl must be a file, a folder or a glob",
    "model.path=/absent": "model.path=/absent: no such folder",
    "resume=/absent": "resume must name a run directory",
    "mollm": "an override must read KEY=VALUE, found 'mollm'",
}
"""What is refused before Hydra is imported, and how the message begins."""
IN_TURN = """
from mollm_cli.configuration.programs import UNLEARN
from mollm_cli.cli.main import main
print([main(UNLEARN, [override]) for override in {overrides!r}])
"""


def _run(
    command: str, arguments: list[str], folder: Path
) -> tuple[subprocess.CompletedProcess[str], dict[str, object]]:
    return _probed(PROBE.format(heavy=HEAVY, command=command, arguments=arguments), folder)


def _probed(script: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], dict[str, object]]:
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    probe: dict[str, object] = json.loads(done.stderr.splitlines()[-1])
    return done, probe


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        *(("unlearn", flag) for flag in ("--help", "--version", "--list=model")),
        ("finetune", "--help"),
        ("evaluate", "--help"),
    ],
)
def test_what_is_printed_needs_not_even_hydra(command: str, flag: str, tmp_path: Path) -> None:
    done, probe = _run(command, [flag], tmp_path)
    assert (done.returncode, probe) == (0, {"heavy": [], "hydra": False})
    assert done.stdout.strip() and len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def _in_turn(overrides: list[str], folder: Path) -> tuple[list[str], dict[str, object]]:
    """The messages, one after another in one process: what none of them imports, each of them does not import."""
    line = IN_TURN.format(overrides=overrides)
    done, probe = _probed(PROBE.format(heavy=HEAVY, command="unlearn", arguments=[]).replace("unlearn()", line), folder)
    messages = [line for line in done.stderr.splitlines()[:-1] if not line.endswith(READING)]
    assert json.loads(done.stdout) == [2] * len(overrides) and probe["heavy"] == []
    assert len(messages) == len(overrides) and all(message.startswith("mollm-unlearn: ") for message in messages)
    assert list(folder.iterdir()) == []
    return [message.removeprefix("mollm-unlearn: ") for message in messages], probe


def test_wrong_requests(tmp_path: Path) -> None:
    _in_turn(WRONG, tmp_path)


def test_wrong_names_values_and_files_need_not_even_hydra(tmp_path: Path) -> None:
    messages, probe = _in_turn(list(AT_ONCE), tmp_path)
    assert [m for m, start in zip(messages, AT_ONCE.values(), strict=True) if not m.startswith(start)] == []
    assert probe["hydra"] is False


def test_what_is_refused_at_once_is_what_hydra_would_have_come_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Word for word; but for files, which are looked for much later otherwise."""
    lines = [line for line in AT_ONCE if "/absent" not in line]
    at_once = [answer(UNLEARN, line).err for line in lines]
    monkeypatch.setattr(sys.modules[main.__module__], "first_look", lambda *_: None)
    later = [answer(UNLEARN, line).err for line in lines]
    assert [err.removeprefix(f"mollm-unlearn: {READING}\n") for err in later] == at_once


def test_a_name_that_is_wrong_is_found_among_the_names_of_one_file_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A choice that is not there takes no file of conf/ at all; a key only those that the line composes."""
    read: list[str] = []
    monkeypatch.setattr(outline, "load_yaml", lambda text, name: read.append(name) or load_yaml(text, name))
    assert answer(UNLEARN, "loss=mollmm").code == 2 and read == []
    assert answer(UNLEARN, "enigne.max_steps=3").code == 2
    assert 20 < len(read) < 40 and "opt-1.3b" not in read


@pytest.mark.slow
def test_a_wrong_sweep(tmp_path: Path) -> None:
    done, probe = _run("unlearn", ["seed=0,1", "loss=ga,mollm", "-m", "engine.max_steps=ten"], tmp_path)
    assert (done.returncode, done.stdout, probe["heavy"], list(tmp_path.iterdir())) == (2, "", [], [])


def test_the_configuration_is_composed_without_anything_heavy(tmp_path: Path) -> None:
    done, probe = _run("finetune", ["--cfg", "job", "--resolve", "train=[retain]"], tmp_path)
    assert (done.returncode, probe["heavy"], list(tmp_path.iterdir())) == (0, [], [])
    assert "train:\n- retain\n" in done.stdout


def test_compare_helps_without_anything_heavy(tmp_path: Path) -> None:
    done, probe = _run("compare", ["--help"], tmp_path)
    assert (done.returncode, probe) == (0, {"heavy": [], "hydra": False})


@pytest.mark.slow
def test_hydras_own_help_and_completion_are_passed_on(tmp_path: Path) -> None:
    done, _ = _run("unlearn", ["--hydra-help"], tmp_path)
    assert done.returncode == 0 and "Hydra" in done.stdout
    done, _ = _run("unlearn", ["--shell-completion", "install=bash"], tmp_path)
    assert done.returncode == 0 and "complete" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_python_dash_m_is_mollm_unlearn(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "mollm_cli", "loss=mollmm"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "found 'mollmm'; did you mean 'mollm'" in done.stderr
