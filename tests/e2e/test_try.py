"""``mollm-try`` on the files of a real run: in this process, through a pipe, and on a terminal."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mollm_cli.assets.locate import resolve
from mollm_cli.cli.try_out import main
from mollm_cli.run.side_by_side import open_trial
from tests.support.cli import ROOT, Answer

QUESTION = json.loads(resolve("embedded:authors/forget.jsonl").read_text().splitlines()[0])["question"]
SCRIPT = "from mollm_cli.cli import try_out; try_out()"
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TERM": "dumb", "COLUMNS": "80"}


def test_the_console_script_is_declared() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts["mollm-try"] == "mollm_cli.cli:try_out"


def test_help_needs_nothing_heavy(tmp_path: Path) -> None:
    probe = "import sys, atexit; atexit.register(lambda: print({'torch', 'hydra', 'transformers'} & set(sys.modules)))"
    line = [sys.executable, "-c", f"{probe}; {SCRIPT}", "--help"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("usage: mollm-try")
    assert done.stdout.endswith("set()\n")


@pytest.mark.slow
def test_through_a_pipe(mollm: Answer, tmp_path: Path) -> None:
    (expected,) = open_trial(mollm.run_dir, max_tokens=8, oracle=True, device="cpu").answers([QUESTION])
    assert expected["before"] and expected["after"] and expected["oracle"]
    options = [str(mollm.run_dir), "--max-tokens", "8", "--oracle", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *options], input=json.dumps(QUESTION) + "\n", cwd=tmp_path,
        env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"prompt": QUESTION, **expected}


@pytest.mark.slow
def test_on_a_terminal(mollm: Answer, tmp_path: Path) -> None:
    """A prompt, an answer in two columns, and Ctrl-D."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    line = [sys.executable, "-c", SCRIPT, str(mollm.run_dir), "--max-tokens", "8", "--device", "cpu"]
    with subprocess.Popen(
        line, cwd=tmp_path, env=os.environ | ENVIRONMENT, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE
    ) as running:
        os.close(theirs)
        shown = _until(ours, "> ")
        os.write(ours, f"{QUESTION}\n".encode())
        shown += _until(ours, "\n> ")
        os.write(ours, b"\x04")
        assert running.wait(60) == 0
    os.close(ours)
    assert any("before" in text and "after" in text for text in shown.splitlines()), shown


def _until(terminal: int, end: str) -> str:
    text = b""
    while not text.decode(errors="replace").endswith(end):
        text += os.read(terminal, 4096)
    return text.decode().replace("\r\n", "\n")


def test_a_run_without_a_checkpoint(
    mollm: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("config.yaml", "manifest.json"):
        (tmp_path / name).write_text((mollm.run_dir / name).read_text())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'"Who?"')))
    assert main([str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert told.out == "" and "must hold checkpoint/, the model after the run, found none" in told.err
