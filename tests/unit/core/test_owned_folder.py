"""A folder that is held: no link in it, and none to it, leads an answer, a write or a removal elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mollm_cli.core.atomic import UNFINISHED, append_text, sweep, whole, write_text
from mollm_cli.core.owned_folder import opened


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of somebody else's, with a file in it."""
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "mine").write_text("precious")
    return folder


@pytest.fixture(autouse=True)
def untouched(victim: Path) -> object:
    """Whatever a test does."""
    yield
    assert [path.name for path in victim.iterdir()] == ["mine"] and (victim / "mine").read_text() == "precious"


def test_a_folder_that_is_a_link_is_not_opened(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "run").symlink_to(victim)
    with pytest.raises(OSError, match=r"'.*/run'"), opened(tmp_path / "run"):
        pass


@pytest.mark.parametrize("link", ["run", "run/resume", "run/resume/scores"])
def test_no_part_that_is_the_runs_may_be_a_link(link: str, tmp_path: Path, victim: Path) -> None:
    folder = tmp_path / "run" / "resume" / "scores"
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(victim)
    with pytest.raises(OSError, match=f"'.*/{link}'"), opened(folder, 3, make=3):
        pass
    with pytest.raises(OSError, match=f"'.*/{link}'"):
        write_text(folder / "mine", "theirs", 3)
    with pytest.raises(OSError, match=f"'.*/{link}'"), whole(folder / "mine", 3):
        pass
    (victim / ".mine.12").touch()
    sweep(folder, 3)
    (victim / ".mine.12").unlink()  # it is still there


def test_what_the_run_lies_in_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "outputs").symlink_to(tmp_path / "disk")
    with opened(tmp_path / "outputs" / "run" / "resume", 2, make=2) as folder:
        folder.replace("a", b"x")
    assert (tmp_path / "disk" / "run" / "resume" / "a").read_bytes() == b"x"


def test_a_folder_that_is_not_to_be_made_is_missed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="/run'"), opened(tmp_path / "run" / "resume", 2, make=1):
        pass
    assert not (tmp_path / "run").exists()


def test_a_handle_stays_with_its_folder_whatever_takes_its_name(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    with opened(tmp_path / "run") as folder:
        (tmp_path / "run").rename(tmp_path / "moved")
        (tmp_path / "run").symlink_to(victim)
        folder.remove("mine")
        folder.replace("new", b"x")
        assert folder.names() == ["new"]
    assert (tmp_path / "moved" / "new").read_bytes() == b"x"


def test_a_link_that_takes_a_folders_name_while_a_file_is_written(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(FileNotFoundError, match="mine"), whole(tmp_path / "run" / "mine") as temporary:
        temporary.write_text("theirs")
        (tmp_path / "run").rename(tmp_path / "moved")
        (tmp_path / "run").symlink_to(tmp_path / "moved" / "other")
        (tmp_path / "moved" / temporary.name).unlink()
        (victim / temporary.name).write_text("theirs")
        (tmp_path / "run").unlink()
        (tmp_path / "run").symlink_to(victim)
    assert list((tmp_path / "moved").iterdir()) == []
    (victim / temporary.name).unlink()


def test_a_tree_goes_and_its_links_lead_nowhere(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "run" / "point" / "inner").mkdir(parents=True)
    (tmp_path / "run" / "point" / "inner" / "link").symlink_to(victim)
    (tmp_path / "run" / "point" / "file").symlink_to(victim / "mine")
    (tmp_path / "run" / "link").symlink_to(victim)
    with opened(tmp_path / "run") as folder:
        assert not folder.is_folder("link") and not folder.is_file("link") and folder.is_folder("point")
        for name in ("point", "link", "nowhere"):
            folder.remove(name)
        assert folder.names() == []


def test_a_file_is_replaced_and_never_written_to(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "run").mkdir()
    os.link(victim / "mine", tmp_path / "run" / "hard")
    (tmp_path / "run" / "soft").symlink_to(victim / "mine")
    for name in ("hard", "soft"):
        write_text(tmp_path / "run" / name, "new")
        assert (tmp_path / "run" / name).read_text() == "new"
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["hard", "soft"]


def test_what_is_added_goes_to_no_other_name(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "run").mkdir()
    os.link(victim / "mine", tmp_path / "run" / "hard")
    (tmp_path / "run" / "soft").symlink_to(victim / "mine")
    append_text(tmp_path / "run" / "hard", " and é")
    append_text(tmp_path / "run" / "new", "a")
    append_text(tmp_path / "run" / "new", "b")
    assert (tmp_path / "run" / "hard").read_text() == "precious and é"
    assert (tmp_path / "run" / "new").read_text() == "ab"
    with pytest.raises(OSError, match="soft"):
        append_text(tmp_path / "run" / "soft", "x")


def test_what_is_no_file_is_not_read(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "run" / "folder").mkdir(parents=True)
    os.mkfifo(tmp_path / "run" / "pipe")  # nobody writes to it: who waits for that waits for ever
    (tmp_path / "run" / "link").symlink_to(victim / "mine")
    with opened(tmp_path / "run") as folder:
        for name in ("folder", "pipe", "link", "nowhere"):
            with pytest.raises(OSError, match=f"run/{name}'"):
                folder.read(name)


def test_what_ends_the_writing_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "a", "good")

    def broken(*_: object, **__: object) -> None:
        seen.extend(path.name for path in tmp_path.iterdir() if path.name.startswith("."))
        raise OSError(5, "broken")

    seen: list[str] = []
    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="broken"):
        write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "good" and not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    assert len(seen) == 1 and UNFINISHED.fullmatch(seen[0])
