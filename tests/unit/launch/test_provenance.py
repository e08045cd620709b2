"""What a manifest begins with: the command line without its secrets, versions, the commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import mollm_cli
from mollm_cli.launch import provenance
from mollm_cli.launch.provenance import command_line, git_commit, versions


def test_the_command_line_without_its_secrets() -> None:
    typed = ["mollm-unlearn", "tracker.api_key=abc", "+hub.token=abc", "model.password=abc", "data.forget.max_tokens=9"]
    shown = "mollm-unlearn 'tracker.api_key=***' '+hub.token=***' 'model.password=***' data.forget.max_tokens=9"
    assert command_line([*typed, "--check"]) == f"{shown} --check"


def test_the_command_line_is_one_for_a_shell() -> None:
    assert command_line(["/bin/mollm-unlearn", "run_name=a; rm -rf ~"]) == "mollm-unlearn 'run_name=a; rm -rf ~'"


def test_versions_name_what_numbers_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "PACKAGES", ("torch", "no-such-package"))
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
