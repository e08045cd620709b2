"""Whose a run's directory is: one process's, its owner's, and what is kept outside it is listed."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.kept import kept
from mollm_cli.core.privacy import private
from mollm_cli.launch.lock import held
from mollm_cli.launch.session import session
from mollm_cli.run.context import Context
from tests.support.asked import ASKED


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


def _write(context: Context) -> None:
    run_dir = context.run_dir
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
    modes = {path.name: _mode(path) for path in (tmp_path / "run").rglob("*")}
    assert _mode(tmp_path / "run") == modes.pop("checkpoint") == 0o750
    assert {"weights", "manifest.json", "config.yaml", "report.html"} <= set(modes) and set(modes.values()) == {0o640}


def test_the_folders_above_are_the_users_to_open(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with private():
            _end(tmp_path / "outputs" / "day" / "run")
    finally:
        os.umask(before)
    assert [_mode(tmp_path / place) for place in ("outputs", "outputs/day", "outputs/day/run")] == [0o755, 0o755, 0o700]


def test_what_is_written_is_private_at_once_and_not_at_the_end(tmp_path: Path) -> None:
    def body(context: Context) -> None:
        _write(context)
        run_dir = context.run_dir
        (run_dir / "other").write_text("as any library does")
        modes.update({path.name: _mode(path) for path in run_dir.rglob("*")})

    modes: dict[str, int] = {}
    _end(tmp_path / "run", body)
    assert modes.pop("checkpoint") == 0o700
    assert {"weights", "other", "manifest.json", "config.yaml"} <= set(modes) and set(modes.values()) == {0o600}


@pytest.mark.parametrize("name", ["manifest.json", "resume", "checkpoint"])
def test_a_run_directory_with_a_link_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(RequestError, match="must hold no link, found"):
        _end(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [name]


def test_a_run_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "other")
    with pytest.raises(RequestError, match=r"must be a folder, found the link"):
        _end(tmp_path / "run")
    assert list((tmp_path / "other").iterdir()) == []


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
    def body(context: Context) -> None:
        kept(tmp_path / "a")
        kept(tmp_path / "a")
        assert json.loads((context.run_dir / "manifest.json").read_text())["caches"] == [str(tmp_path / "a")]

    assert _end(tmp_path / "run", body)["caches"] == [str(tmp_path / "a")]
    again = _end(tmp_path / "run", lambda *arguments: kept(tmp_path / "b"))
    assert again["caches"] == [str(tmp_path / "a"), str(tmp_path / "b")]
    (tmp_path / "run" / "manifest.json").write_text("torn")
    assert _end(tmp_path / "run")["caches"] == []
