"""JSON of a run directory, which may be anybody's: size, depth and shape before it is used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mollm_cli.core import read_back
from mollm_cli.core.errors import RequestError, RunError
from mollm_cli.core.read_back import mapping, read_mapping, reading_back

SHAPE = {"step": int, "extra": {"total?": (int, float)}, "caches?": list}
WRONG = {
    "[]": "must hold a mapping, found list",
    "5": "must hold a mapping, found int",
    "": "Expecting value",
    "{}": "must hold step, found no such key",
    '{"step": "a", "extra": {}}': "must hold int in step, found str",
    '{"step": 1, "extra": []}': "must hold dict in extra, found list",
    '{"step": 1, "extra": {"total": "x"}}': r"must hold int or float in extra\.total, found str",
    '{"step": 1, "extra": {}, "caches": 5}': "must hold list in caches, found int",
    '{"a":' * 40 + "1" + "}" * 40: "must be at most 32 deep, found more",
    '{"a":' * 100_000: "must be at most 32 deep, found more",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:30])
def test_what_is_not_of_its_shape_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=WRONG[text]):
        mapping(text, SHAPE)


def test_what_is_of_its_shape_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"step": 1, "extra": {"total": 2.5}, "more": [[[]]]}')
    assert read_mapping(file, SHAPE)["extra"] == {"total": 2.5}


def test_a_large_file_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_back, "LARGEST", 1 << 20)
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(3 << 20)
    with pytest.raises(ValueError, match="must have at most 1 MiB, found 3 MiB"):
        read_mapping(tmp_path / "a.json")


def test_whatever_comes_of_using_it_is_one_message() -> None:
    with (
        pytest.raises(RequestError, match="^R must be what a run wrote, found KeyError: 'a'. Restore it$"),
        reading_back(Path("R"), "Restore it"),
    ):
        {}["a"]
    for passed in (RunError("mine"), MemoryError()):
        with pytest.raises(type(passed)), reading_back(Path("R"), "Restore it"):
            raise passed


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    for place in (tmp_path, tmp_path / "manifest.json"):
        with pytest.raises(ValueError, match="must be a file, found a folder, a pipe or a device"):
            read_mapping(place)
