"""A resume point that is not what was written is never gone on with; one that is, always."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.resume.intact import MANIFEST, damage, difference, mark, write_manifest

FILES = ("state.json", "tensors.safetensors")
NAME = "step-00000007"


@pytest.fixture
def point(tmp_path: Path) -> Path:
    folder = tmp_path / NAME
    folder.mkdir()
    (folder / "state.json").write_text('{"step": 7}')
    (folder / "tensors.safetensors").write_bytes(bytes(range(256)) * 5000)
    write_manifest(folder, NAME, FILES)
    return folder


def test_a_point_is_whole_as_it_was_written(point: Path) -> None:
    assert damage(point, FILES) is None
    assert json.loads((point / MANIFEST).read_text())["files"]["state.json"]["bytes"] == 11


def test_the_manifest_cut_off_at_every_byte(point: Path) -> None:
    content = (point / MANIFEST).read_bytes()
    for length in range(len(content) - 1):  # the last byte is the end of a line
        (point / MANIFEST).write_bytes(content[:length])
        assert damage(point, FILES) == f"{MANIFEST} cannot be read", content[:length]
    (point / MANIFEST).write_bytes(content[:-1])
    assert damage(point, FILES) is None


def test_the_manifest_with_every_byte_changed(point: Path) -> None:
    """A byte that says something says something else; between them only white space may differ."""
    content = (point / MANIFEST).read_bytes()
    for offset, byte in enumerate(content):
        for other in (byte ^ 1, 0, 0xFF):
            (point / MANIFEST).write_bytes(content[:offset] + bytes([other]) + content[offset + 1 :])
            assert damage(point, FILES) is not None, (offset, chr(byte), other)


@pytest.mark.parametrize("torn", [b"", b"\0" * 400, b"null", b"[]", b"7", b"[" * 100_000, b'{"files": 3}', b"{}"])
def test_a_manifest_of_another_kind(torn: bytes, point: Path) -> None:
    (point / MANIFEST).write_bytes(torn)
    assert damage(point, FILES) == f"{MANIFEST} cannot be read"


def test_a_manifest_that_is_not_there_or_is_a_folder(point: Path) -> None:
    (point / MANIFEST).unlink()
    assert damage(point, FILES) == f"{MANIFEST} is missing"
    (point / MANIFEST).mkdir()
    assert damage(point, FILES) == f"{MANIFEST} cannot be read"


@pytest.mark.parametrize("change", [{"version": 2}, {"point": "step-00000008"}])
def test_a_manifest_of_another_point(change: dict[str, Any], point: Path) -> None:
    content = json.loads((point / MANIFEST).read_text())
    (point / MANIFEST).write_text(json.dumps(content | change))
    assert damage(point, FILES) == f"its {MANIFEST} is of another point"


def test_a_point_under_another_name(point: Path) -> None:
    other = Path(shutil.copytree(point, point.with_name("step-00000009")))
    assert damage(other, FILES) == f"its {MANIFEST} is of another point"


SIZE = 1_280_000


@pytest.mark.parametrize("offset", [0, 1, 7, 8, 4095, 4096, 65536, SIZE // 2, SIZE - 4097, SIZE - 1])
def test_tensors_torn_at_an_offset(offset: int, point: Path) -> None:
    file = point / "tensors.safetensors"
    content = file.read_bytes()
    assert len(content) == SIZE
    file.write_bytes(content[:offset])
    assert damage(point, FILES) == f"tensors.safetensors has {offset} bytes in place of {SIZE}"
    file.write_bytes(content[:offset] + bytes(SIZE - offset))  # pages that were never written read as zeros
    assert damage(point, FILES) == "tensors.safetensors has another content than was written"
    file.write_bytes(content[:offset] + bytes([content[offset] ^ 4]) + content[offset + 1 :])
    assert damage(point, FILES) == "tensors.safetensors has another content than was written"
    file.write_bytes(content + b"x")
    assert damage(point, FILES) == f"tensors.safetensors has {SIZE + 1} bytes in place of {SIZE}"


def test_files_that_are_gone_or_cannot_be_read(point: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(file: Path) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("mollm_cli.resume.intact.mark", broken)
    assert damage(point, FILES) == "state.json cannot be read ([Errno 5] Input/output error)"
    (point / "state.json").unlink()
    assert damage(point, FILES) == "state.json is missing"


def test_a_mark_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"abc")
    assert difference(tmp_path / "kept", mark(tmp_path / "kept")) is None
    assert difference(tmp_path / "kept", 3) == "kept cannot be read ('int' object has no attribute 'get')"
    assert difference(tmp_path / "kept", {}) == "kept has 3 bytes in place of None"
