"""Whose a run's directory is: one process's, its owner's, and what is kept outside it is listed."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.kept import kept
from mollm_cli.run.lock import held
from mollm_cli.run.session import session

ASKED: Any = SimpleNamespace(names={}, loss=None, run_name="mine", seed=4, junit=None, github_summary=None)


@pytest.fixture(autouse=True)
def opened(tmp_path: Path) -> None:
    """A parent that others may enter."""
    tmp_path.chmod(0o755)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _end(run_dir: Path, body: Callable[..., None] = lambda *arguments: None) -> dict[str, Any]:
    assert session(ASKED, run_dir, {}, "unlearn", body) == 0
    facts: dict[str, Any] = json.loads((run_dir / "manifest.json").read_text())
    return facts


def _write(request: Any, run_dir: Path, *_: Any) -> None:
    (run_dir / "checkpoint").mkdir(mode=0o755)
    (run_dir / "checkpoint" / "weights").touch(mode=0o644)


def test_a_directory_made_here_is_the_owners_alone(tmp_path: Path) -> None:
    _end(tmp_path / "run", _write)
    modes = {path.name: _mode(path) for path in (tmp_path / "run").rglob("*")}
    assert _mode(tmp_path / "run") == modes.pop("checkpoint") == 0o700
    assert {"weights", "manifest.json", "config.yaml", "report.html"} <= set(modes) and set(modes.values()) == {0o600}


def test_a_directory_that_was_opened_stays_open(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o750)
    _end(tmp_path / "run", _write)
    assert (_mode(tmp_path / "run"), _mode(tmp_path / "run" / "checkpoint")) == (0o750, 0o755)


def test_a_job_of_a_private_sweep_is_private(tmp_path: Path) -> None:
    """Hydra makes the directories of jobs itself."""
    (tmp_path / "sweep").mkdir(mode=0o700)
    (tmp_path / "sweep" / "0").mkdir(mode=0o755)
    _end(tmp_path / "sweep" / "0", _write)
    assert _mode(tmp_path / "sweep" / "0" / "checkpoint") == 0o700


def test_a_directory_that_another_process_works_in_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with (
        held(tmp_path / "run"),
        pytest.raises(RequestError, match=r"one process's alone, found another .* wait for its"),
    ):
        _end(tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []
    _end(tmp_path / "run")


def test_what_is_kept_outside_is_listed_at_once_and_over_a_resume(tmp_path: Path) -> None:
    def body(request: Any, run_dir: Path, manifest: Any, *_: Any) -> None:
        kept(tmp_path / "a")
        kept(tmp_path / "a")
        assert json.loads((run_dir / "manifest.json").read_text())["caches"] == [str(tmp_path / "a")]

    assert _end(tmp_path / "run", body)["caches"] == [str(tmp_path / "a")]
    again = _end(tmp_path / "run", lambda *arguments: kept(tmp_path / "b"))
    assert again["caches"] == [str(tmp_path / "a"), str(tmp_path / "b")]
    (tmp_path / "run" / "manifest.json").write_text("torn")
    assert _end(tmp_path / "run")["caches"] == []
