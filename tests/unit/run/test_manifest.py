from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mollm_cli
from mollm_cli.run import manifest
from mollm_cli.run.manifest import Manifest, command_line, git_commit, versions
from mollm_cli.run.reserve import SIZE


def test_facts_are_on_disk_as_soon_as_they_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/mollm-unlearn", "seed=1"])
    record = Manifest(tmp_path, {"seed": 1})
    first = json.loads(record.path.read_text())
    assert (first["status"], first["exit_code"], first["seed"], first["command"]) == (
        "running", None, 1, "mollm-unlearn seed=1",
    )  # fmt: skip
    assert (tmp_path / ".reserve").stat().st_size == SIZE  # room for the last words
    record.end(status="completed", exit_code=0)
    last = json.loads(record.path.read_text())
    assert last["status"] == "completed" and last["wall_seconds"] >= first["wall_seconds"] >= 0
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.json"]  # renamed, nothing left behind


def test_the_command_line_without_its_secrets() -> None:
    typed = ["mollm-unlearn", "tracker.api_key=abc", "+hub.token=abc", "model.password=abc", "data.forget.max_tokens=9"]
    shown = "mollm-unlearn 'tracker.api_key=***' '+hub.token=***' 'model.password=***' data.forget.max_tokens=9"
    assert command_line([*typed, "--check"]) == f"{shown} --check"


def test_the_command_line_is_one_for_a_shell() -> None:
    assert command_line(["/bin/mollm-unlearn", "run_name=a; rm -rf ~"]) == "mollm-unlearn 'run_name=a; rm -rf ~'"


def test_versions_name_what_numbers_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "PACKAGES", ("torch", "no-such-package"))
    found = versions()
    assert found["mollm-unlearn"] == mollm_cli.__version__
    assert found["torch"][0].isdigit() and found["no-such-package"] == "absent"


def _git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_of_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "mollm_cli" / "__init__.py"
    source.parent.mkdir()
    source.write_text("")
    monkeypatch.setattr(mollm_cli, "__file__", str(source))
    assert git_commit() is None
    _git(tmp_path, "init")
    assert git_commit() is None  # a repository without a commit
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-m", "first")
    head = _git(tmp_path, "rev-parse", "HEAD")
    assert git_commit() == head
    source.write_text("changed")
    assert git_commit() == f"{head}+"


def test_no_secret_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "plumtree-94")
    record = Manifest(tmp_path, {"error": "401 for plumtree-94", "model": {"api_key": "abc", "path": "a"}})
    written = json.loads(record.path.read_text())
    assert (written["error"], written["model"]) == ("401 for ***", {"api_key": "***", "path": "a"})
