from __future__ import annotations

import json
import stat

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.run.lock import held
from mollm_cli.run.purge import purge

ROW = {"set": "forget", "id": "f:1", "prompt": "Who?", "answer": "Nobody.", "before": None}
AFTER = {"probability": 0.5, "generation": "Somebody."}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "mollm-unlearn"
    for name, text in (
        ("tokens/a", "12345"),
        ("answers/b", "Quibble"),
        ("reference/k/c", "abc"),
        ("tokens/others", "x"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def run(tmp_path, cache):
    """A run that has ended; its manifest with other facts."""
    folder = tmp_path / "run"

    def make(**facts):
        (folder / "resume" / "scores" / "after").mkdir(parents=True)
        (folder / "resume" / "scores" / "after" / "forget.jsonl").write_text("Somebody.\n")
        (folder / "samples.jsonl").write_text(json.dumps(ROW | {"after": AFTER}) + "\n")
        listed = {"caches": [str(cache / "tokens" / "a"), str(cache / "answers" / "b"), str(cache / "tokens" / "gone")]}
        reference = {"reference": {"kind": "cache", "files": [str(cache / "reference" / "k" / "c")]}}
        manifest = {"status": "completed", "exit_code": 0, **listed, **reference, **facts}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return make


def read(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_what_the_run_listed_goes_and_is_told_with_its_bytes(run, cache, capsys):
    folder = run()
    purge(folder)
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["others"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"removed: {cache / 'tokens' / 'a'} (5 bytes)\n" in captured.err
    assert f"removed: {cache / 'answers' / 'b'} (7 bytes)\n" in captured.err
    assert captured.err.endswith(f"purged {folder}: 5 files, {read(folder)['purged']['bytes']} bytes\n")


def test_texts_go_and_numbers_stay(run):
    folder = run()
    purge(folder)
    [row] = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert row == {"set": "forget", "id": "f:1", "before": None, "after": {"probability": 0.5}}
    assert not (folder / "resume" / "scores").exists()
    assert stat.S_IMODE((folder / "samples.jsonl").stat().st_mode) == 0o600


def test_the_manifest_stays_with_a_note_and_a_second_purge_adds_to_it(run, cache):
    folder = run()
    purge(folder)
    first = read(folder)
    assert (first["status"], first["exit_code"], first["caches"]) == ("completed", 0, [])
    assert len(first["purged"]["files"]) == 5 and first["purged"]["time"].endswith("Z")
    assert first["purged"]["bytes"] == sum(file["bytes"] for file in first["purged"]["files"])
    (cache / "reference" / "k" / "c").write_text("ab")  # another run filled it again
    purge(folder)
    assert read(folder)["purged"]["files"] == [
        *first["purged"]["files"],
        {"path": str(cache / "reference" / "k" / "c"), "bytes": 2},
    ]


def test_a_file_outside_the_cache_is_never_removed(run, cache, tmp_path, capsys):
    outside = tmp_path / "precious"
    outside.write_text("x")
    (cache / "tokens" / "link").symlink_to(outside)
    sideways = f"{cache}/tokens/../../../precious"
    folder = run(caches=[str(outside), sideways, str(cache / "tokens" / "link")], reference={"kind": "copy"})
    purge(folder)
    assert outside.read_text() == "x"
    assert capsys.readouterr().err.count("left: ") == 3


def test_a_copy_of_the_hub_is_named_and_left(run, capsys):
    purge(
        run(
            datasets={
                "forget": {"hub": {"id": "org/name"}},
                "retain": {"files": []},
                "more": {"hub": {"id": "org/name"}},
            }
        )
    )
    err = capsys.readouterr().err
    assert err.count("left: the copy of org/name") == 1 and "hf cache rm dataset/org/name" in err


def test_a_run_that_is_going_on_is_refused(run, cache, monkeypatch):
    folder = run(status="running")
    with (
        held(folder),
        pytest.raises(RequestError, match="must be given a run that has ended, found .* going on; stop it"),
    ):
        purge(folder)
    monkeypatch.setattr("mollm_cli.run.lock._lock", lambda opened: None)
    with pytest.raises(RequestError, match="stop it first"):  # nobody can tell: the manifest decides
        purge(folder)
    assert (cache / "tokens" / "a").exists()


def test_a_run_that_was_killed_is_purged(run, cache):
    purge(run(status="running"))
    assert not (cache / "tokens" / "a").exists()


@pytest.mark.parametrize("content", [None, "{", "[1]"])
def test_what_is_no_run_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(RequestError, match=r"run directory, found no manifest.json|must hold a mapping, found another"):
        purge(tmp_path)
