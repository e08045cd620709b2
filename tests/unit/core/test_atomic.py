"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mollm_cli.core.atomic import UNFINISHED, sweep, sync, whole, write_text

KILLED = """
import os, signal, sys
from pathlib import Path
from mollm_cli.core.atomic import whole
with whole(Path(sys.argv[1])) as temporary:
    temporary.write_text("half of wh")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_the_place_of_the_one_before_it(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "first")
    write_text(tmp_path / "a", "é")
    assert (tmp_path / "a").read_bytes() == "é".encode() and _names(tmp_path) == ["a"]


def test_a_folder_has_its_name_when_all_of_it_is_there(tmp_path: Path) -> None:
    with whole(tmp_path / "point") as temporary:
        (temporary / "inner").mkdir(parents=True)
        (temporary / "inner" / "file").write_text("x")
        assert not (tmp_path / "point").exists() and UNFINISHED.fullmatch(temporary.name)
    assert (tmp_path / "point" / "inner" / "file").read_text() == "x" and _names(tmp_path) == ["point"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), ValueError("ours")])
def test_what_ends_the_writing_leaves_what_was_there(error: BaseException, tmp_path: Path) -> None:
    write_text(tmp_path / "a", "good")
    with pytest.raises(type(error)), whole(tmp_path / "a") as temporary:
        temporary.write_text("half of wh")
        raise error
    assert (tmp_path / "a").read_text() == "good" and _names(tmp_path) == ["a"]


def test_a_name_that_a_folder_has_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "point").mkdir()
    (tmp_path / "point" / "good").touch()
    with pytest.raises(OSError, match="not empty|exists"), whole(tmp_path / "point") as temporary:
        temporary.mkdir()
    assert _names(tmp_path) == ["point"] and _names(tmp_path / "point") == ["good"]


def test_a_killed_writer_leaves_the_file_before_and_what_sweep_removes(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "good")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a")], check=False)
    assert done.returncode == -signal.SIGKILL
    left = [name for name in _names(tmp_path) if name != "a"]
    assert len(left) == 1 and UNFINISHED.fullmatch(left[0]) and (tmp_path / "a").read_text() == "good"
    sweep(tmp_path)
    assert _names(tmp_path) == ["a"]


def test_sweep_touches_nothing_else_and_follows_no_link(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "run"
    outside.mkdir()
    (outside / "mine").touch()
    folder.mkdir()
    for name in (".hidden", "a.1", ".a.b", "..1"):
        (folder / name).touch()
    (folder / ".point.12").mkdir()
    (folder / ".point.12" / "file").touch()
    (folder / ".link.13").symlink_to(outside)
    sweep(folder)
    assert _names(folder) == ["..1", ".a.b", ".hidden", "a.1"] and _names(outside) == ["mine"]
    sweep(tmp_path / "nowhere")


@pytest.mark.parametrize(("number", "folder_passes"), [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EIO, False)])
def test_only_a_folder_may_know_no_sync(
    number: int, folder_passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(opened: int) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match=os.strerror(number)):
        sync(tmp_path / "file")
    if folder_passes:
        sync(tmp_path)
    else:
        with pytest.raises(OSError, match=os.strerror(number)):
            sync(tmp_path)
