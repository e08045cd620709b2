from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mollm_cli.core.kept import kept, listed
from mollm_cli.core.privacy import is_private, make_private, shows_text, tighten


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


def test_what_is_in_a_private_folder_becomes_private(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("x")
    outside.chmod(0o644)
    run = tmp_path / "run"
    (run / "inner").mkdir(parents=True)
    (run / "inner" / "file").write_text("x")
    (run / "link").symlink_to(outside)
    for path, opened in ((run, 0o755), (run / "inner", 0o755), (run / "inner" / "file", 0o644)):
        path.chmod(opened)
    assert not is_private(run)
    tighten(run)
    assert (mode(run / "inner"), mode(run / "inner" / "file")) == (0o755, 0o644)  # who opened it, meant it
    run.chmod(0o700)
    tighten(run)
    assert (mode(run / "inner"), mode(run / "inner" / "file"), mode(outside)) == (0o700, 0o600, 0o644)


def test_a_file_that_is_kept_is_listed_within_the_block_only(tmp_path):
    heard: list[Path] = []
    kept(tmp_path / "before")
    with listed(heard.append):
        kept(tmp_path / "within")
    kept(tmp_path / "after")
    assert heard == [tmp_path / "within"]
