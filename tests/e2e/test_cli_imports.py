"""What answers at once imports nothing heavy, and what is wrong leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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

WRONG = [
    "+loss.typo=1",
    "loss=mollmm",
    "enigne.max_steps=3",
    "engine.max_steps=ten",
    "optimizer.lr=-1",
    "a=b=c",
    "--chekc",
]
IN_TURN = f"""
from mollm_cli.configuration.programs import UNLEARN
from mollm_cli.cli.main import main
print([main(UNLEARN, [override]) for override in {WRONG!r}])
"""


def _run(
    command: str, arguments: list[str], folder: Path
) -> tuple[subprocess.CompletedProcess[str], dict[str, object]]:
    return _probed(PROBE.format(heavy=HEAVY, command=command, arguments=arguments), folder)


def _probed(script: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], dict[str, object]]:
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    probe: dict[str, object] = json.loads(done.stderr.splitlines()[-1])
    return done, probe


@pytest.mark.parametrize("command", ["unlearn", "finetune", "evaluate"])
@pytest.mark.parametrize("flag", ["--help", "--version", "--list=model"])
def test_what_is_printed_needs_not_even_hydra(command: str, flag: str, tmp_path: Path) -> None:
    done, probe = _run(command, [flag], tmp_path)
    assert (done.returncode, probe) == (0, {"heavy": [], "hydra": False})
    assert done.stdout.strip() and len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_wrong_requests(tmp_path: Path) -> None:
    """One after another in one process: what none of them imports, each of them does not import."""
    script = PROBE.format(heavy=HEAVY, command="unlearn", arguments=[]).replace("unlearn()", IN_TURN)
    done, probe = _probed(script, tmp_path)
    messages = done.stderr.splitlines()[:-1]
    assert json.loads(done.stdout) == [2] * len(WRONG) and probe["heavy"] == []
    assert len(messages) == len(WRONG) and all(message.startswith("mollm-unlearn: ") for message in messages)
    assert list(tmp_path.iterdir()) == []


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
