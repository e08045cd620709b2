from __future__ import annotations

import json
from pathlib import Path

import pytest

from mollm_cli.core import manifest as manifest_module
from mollm_cli.core.manifest import Manifest
from mollm_cli.core.reserve import SIZE


def test_facts_are_on_disk_as_soon_as_they_are_known(tmp_path: Path) -> None:
    record = Manifest(tmp_path, {"seed": 1})
    first = json.loads(record.path.read_text())
    assert (first["status"], first["exit_code"], first["seed"]) == ("running", None, 1)
    assert (tmp_path / ".reserve").stat().st_size == SIZE  # room for the last words
    record.end(status="completed", exit_code=0)
    last = json.loads(record.path.read_text())
    assert last["status"] == "completed" and last["wall_seconds"] >= first["wall_seconds"] >= 0
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.json"]  # renamed, nothing left behind


def test_seconds_are_told_to_the_millisecond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.0, 102.34567])
    monkeypatch.setattr(manifest_module.time, "monotonic", lambda: next(clock))
    record = Manifest(tmp_path, {})
    record.write()
    assert json.loads(record.path.read_text())["wall_seconds"] == 2.346


def test_no_secret_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "plumtree-94")
    record = Manifest(tmp_path, {"error": "401 for plumtree-94", "model": {"api_key": "abc", "path": "a"}})
    written = json.loads(record.path.read_text())
    assert (written["error"], written["model"]) == ("401 for ***", {"api_key": "***", "path": "a"})


@pytest.mark.parametrize("text", [None, "{", "[]", "1", "[" * 100_000])
def test_a_manifest_that_cannot_be_read_has_no_facts(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    assert (Manifest.read(tmp_path), Manifest.exit_code(tmp_path)) == ({}, 1)


def test_a_manifest_is_amended_where_its_process_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "plumtree-94")
    Manifest(tmp_path, {"seed": 1})
    Manifest.amend(tmp_path, status="failed", exit_code=2, error="401 for plumtree-94")
    found = Manifest.read(tmp_path)
    assert (found["status"], found["seed"], found["error"]) == ("failed", 1, "401 for ***")
    assert Manifest.exit_code(tmp_path) == 2
    (tmp_path / "manifest.json").unlink()
    Manifest.amend(tmp_path, status="failed")
    assert Manifest.read(tmp_path) == {"status": "failed"}
