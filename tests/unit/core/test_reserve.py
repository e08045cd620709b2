"""A manifest that says how a run ended, on a disk with no room for one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mollm_cli.core import reserve
from tests.support.disk import fill, small_disk


def _full(file: Path, text: str) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_where_there_is_room_the_reserve_stays(tmp_path: Path) -> None:
    reserve.take(tmp_path)
    reserve.write_last(tmp_path / "manifest.json", "ended\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == [reserve.NAME, "manifest.json"]
    reserve.give_back(tmp_path)
    assert (tmp_path / "manifest.json").read_text() == "ended\n" and len(list(tmp_path.iterdir())) == 1


def test_on_a_full_disk_the_reserve_becomes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "manifest.json").write_text("running\n")
    reserve.take(tmp_path)
    monkeypatch.setattr(reserve, "write_text", _full)
    reserve.write_last(tmp_path / "manifest.json", "ended\n")
    assert (tmp_path / "manifest.json").read_text() == "ended\n" and len(list(tmp_path.iterdir())) == 1


def test_without_a_reserve_the_disk_is_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserve, "write_text", _full)
    with pytest.raises(OSError, match="No space left"):
        reserve.write_last(tmp_path / "manifest.json", "ended\n")


def test_a_link_in_its_place_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("precious")
    run = tmp_path / "run"
    run.mkdir()
    (run / reserve.NAME).symlink_to(theirs)
    monkeypatch.setattr(reserve, "write_text", _full)
    with pytest.raises(OSError, match="symbolic links"):
        reserve.write_last(run / "manifest.json", "ended\n")
    reserve.take(run)
    assert theirs.read_text() == "precious" and not (run / reserve.NAME).is_symlink()


def test_not_a_byte_is_left(tmp_path: Path) -> None:
    """On a real filesystem that is full."""
    with small_disk(tmp_path / "disk", 1) as disk:
        if disk is None:
            pytest.skip("this system lets us mount no tmpfs; a refused write stands for it in the tests above")
        (disk / "manifest.json").write_text("running\n")
        reserve.take(disk)
        fill(disk, 0)
        with pytest.raises(OSError, match="No space left"):
            (disk / "more").write_bytes(b"x" * (1 << 16))
        reserve.write_last(disk / "manifest.json", "ended\n" * 1000)
        assert (disk / "manifest.json").read_text() == "ended\n" * 1000
