from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mollm_cli.core.kept import kept, listed
from mollm_cli.core.privacy import as_asked, as_open_as, is_private, make_private, private, shows_text

ROOT = Path(__file__).parents[3]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("content", "shown"),
    [("ordinary", [True, True, False]), ("personal", [False, True, False]), ("harmful", [False, True, False])],
)
def test_text_is_shown_where_it_is_ordinary_or_asked_for(content, shown):
    assert [shows_text(content, keep_text) for keep_text in ("auto", True, False)] == shown


def test_a_private_folder_is_made_with_its_missing_parents(tmp_path):
    tmp_path.chmod(0o755)
    make_private(tmp_path / "a" / "b")
    make_private(tmp_path / "a" / "b")
    assert [mode(tmp_path / part) for part in ("", "a", "a/b")] == [0o755, 0o700, 0o700]


CHILD = "import os, pathlib; pathlib.Path('child').touch(); print(os.environ.get('MOLLM_UMASK'))"
AGAIN = """
import pathlib
from mollm_cli.core.privacy import as_asked, private
with private():
    pathlib.Path("inner").touch()
    with as_asked():
        pathlib.Path("asked").touch()
"""


@pytest.fixture
def umask(tmp_path, monkeypatch):
    """The user's, 022; in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_within_the_block_what_is_made_is_private_from_its_first_byte(umask, tmp_path):
    with private():
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        subprocess.run([sys.executable, "-c", CHILD], check=True)
        with private():
            (tmp_path / "again").touch()
        with as_asked():
            (tmp_path / "asked").touch()
        (tmp_path / "later").touch()
    (tmp_path / "after").touch()
    modes = {path.name: mode(path) for path in tmp_path.iterdir()}
    assert modes.pop("folder") == 0o700
    assert modes == dict.fromkeys(("file", "child", "again", "later"), 0o600) | {"asked": 0o644, "after": 0o644}
    assert "MOLLM_UMASK" not in os.environ


def test_a_child_process_knows_the_users_umask(umask, tmp_path):
    with private():
        subprocess.run([sys.executable, "-c", AGAIN], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert (mode(tmp_path / "inner"), mode(tmp_path / "asked")) == (0o600, 0o644)


@pytest.mark.parametrize("told", ["", "9", "0o22", "-1", "77777"])
def test_a_variable_that_is_no_umask_is_passed_over(umask, tmp_path, monkeypatch, told):
    monkeypatch.setenv("MOLLM_UMASK", told)
    with as_asked():
        (tmp_path / "file").touch()
    assert mode(tmp_path / "file") == 0o644


@pytest.mark.parametrize(("opened", "made"), [(0o700, 0o600), (0o750, 0o640), (0o755, 0o644), (0o777, 0o644)])
def test_what_is_made_is_as_open_as_its_folder(umask, tmp_path, opened, made):
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(opened)
    assert is_private(tmp_path / "run") == (opened == 0o700)
    with private(), as_open_as(tmp_path / "run"):
        (tmp_path / "run" / "file").touch()
    assert mode(tmp_path / "run" / "file") == made


def test_a_file_that_is_kept_is_listed_within_the_block_only(tmp_path):
    heard: list[Path] = []
    kept(tmp_path / "before")
    with listed(heard.append):
        kept(tmp_path / "within")
    kept(tmp_path / "after")
    assert heard == [tmp_path / "within"]
