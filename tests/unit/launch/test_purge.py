from __future__ import annotations

import json
import os
import shutil
import stat

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.launch.lock import held
from mollm_cli.launch.purge import purge

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


@pytest.mark.parametrize(("opened", "made"), [(0o700, 0o600), (0o750, 0o640)])
def test_what_is_written_anew_is_as_open_as_the_run(run, opened, made):
    folder = run()
    (folder / "report.html").touch()
    folder.chmod(opened)
    purge(folder)
    for name in ("samples.jsonl", "manifest.json", "report.html"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == made


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


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "x",
        "../../x",
        "{cache}",
        "{cache}/x",
        "{cache}/tokens",
        "{cache}/reference/k",
        "{cache}/tokens/../../../precious",
        "{cache}/tokens/deep/precious",
        "{cache}/reference/../x",
        "{cache}/others/precious",
        "{cache}/linked/precious",
        "{cache}/reference/linked/precious",
        "{cache}/tokens/pipe",
    ],
)
def test_a_hostile_list_of_files_removes_nothing(run, cache, tmp_path, capsys, name):
    victim = tmp_path / "victim"
    victim.mkdir()
    for place in (tmp_path / "precious", victim / "precious", cache / "others" / "precious", cache / "x"):
        place.parent.mkdir(exist_ok=True)
        place.write_text("x")
    (cache / "tokens" / "deep").mkdir()
    (cache / "tokens" / "deep" / "precious").touch()
    os.mkfifo(cache / "tokens" / "pipe")
    (cache / "linked").symlink_to(victim)
    (cache / "reference" / "linked").symlink_to(victim)
    before = sorted(tmp_path.rglob("*"))
    purge(run(caches=[name.format(cache=cache)], reference={}))
    after = sorted(path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "run"))
    assert after == before and "left: " in capsys.readouterr().err


def test_a_cache_that_is_reached_by_a_link_of_the_users_is_purged(run, tmp_path, cache, monkeypatch):
    (tmp_path / "home").symlink_to(tmp_path / "cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    purge(run(caches=[str(tmp_path / "home" / "mollm-unlearn" / "tokens" / "a"), str(cache / "answers" / "b")]))
    assert not (cache / "tokens" / "a").exists() and not (cache / "answers" / "b").exists()


@pytest.mark.parametrize(
    "link", ["resume", "resume/scores", "resume/scores/after", "samples.jsonl", "report.html", "."]
)
def test_a_link_in_the_run_or_to_it_removes_nothing(run, cache, tmp_path, link):
    victim = tmp_path / "victim"
    (victim / "scores" / "after").mkdir(parents=True)
    for place in (victim, victim / "scores", victim / "scores" / "after"):
        (place / "x.jsonl").write_text(json.dumps(ROW) + "\n")
    folder = run()
    if link == ".":
        folder.rename(tmp_path / "moved")
        folder.symlink_to(tmp_path / "moved")
    else:
        place = folder / link
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
        place.symlink_to(victim / "x.jsonl" if "." in link else victim)
    before = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RequestError, match="must hold no link, found|must be a folder, found the link"):
        purge(folder)
    assert before == {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}


def test_a_link_that_is_planted_while_it_is_purged_removes_nothing(run, tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    (victim / "after").mkdir(parents=True)
    (victim / "after" / "forget.jsonl").touch()
    folder = run()

    def looked(run_dir):
        shutil.rmtree(run_dir / "resume" / "scores")
        (run_dir / "resume" / "scores").symlink_to(victim)

    monkeypatch.setattr("mollm_cli.launch.purge.refuse_links", looked)
    with pytest.raises(OSError, match="resume/scores"):
        purge(folder)
    assert (victim / "after" / "forget.jsonl").exists()


def test_another_name_of_a_file_keeps_what_it_has(run, tmp_path):
    folder = run()
    names = {"samples.jsonl": "a", "manifest.json": "b", "resume/scores/after/forget.jsonl": "c"}
    for name, other in names.items():
        os.link(folder / name, tmp_path / other)
    before = {other: (tmp_path / other).read_text() for other in names.values()}
    purge(folder)
    assert before == {other: (tmp_path / other).read_text() for other in names.values()}


def test_what_a_run_does_not_write_stays(run):
    folder = run()
    scores = folder / "resume" / "scores"
    for place in (scores / "notes.txt", scores / "after" / "notes.txt", folder / "resume" / "step", folder / ".a.12"):
        place.write_text("mine")
    (scores / "after" / "x.jsonl").mkdir()
    purge(folder)
    left = sorted(path.name for path in folder.rglob("*") if path.is_file())
    assert left == [".a.12", "manifest.json", "notes.txt", "notes.txt", "samples.jsonl", "step"]


def test_what_a_killed_process_left_of_texts_goes(run):
    folder = run()
    half = [folder / ".samples.jsonl.12", folder / ".report.html.12", folder / "resume/scores/after/.forget.jsonl.3"]
    for place in half:
        place.write_text("Somebody.")
    with (folder / "samples.jsonl").open("a") as file:
        file.write('{"prompt": "Who')
    purge(folder)
    assert not any(place.exists() for place in half) and "Who" not in (folder / "samples.jsonl").read_text()


def test_a_report_that_cannot_be_written_anew_goes(run, capsys):
    folder = run()
    (folder / "report.html").write_text("Somebody.")
    (folder / "metrics.json").write_text("[]")
    purge(folder)
    assert not (folder / "report.html").exists()
    assert "report.html, which cannot be written anew (RequestError)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "facts", [{"caches": 5}, {"caches": [5]}, {"caches": {"a": 1}}, {"reference": {"files": "abc"}}, {"caches": None}]
)
def test_a_list_of_files_of_another_shape_is_refused(run, cache, facts):
    folder = run(**facts)
    with pytest.raises(RequestError, match=r"manifest.json: (caches|reference.files) must be a list of files, found"):
        purge(folder)
    assert (folder / "resume" / "scores").exists()


@pytest.mark.parametrize("facts", [{"purged": 5}, {"purged": {"files": [1, {"bytes": "x"}]}}, {"datasets": [1]}])
def test_a_note_of_another_shape_is_passed_over(run, facts):
    folder = run(**facts)
    purge(folder)
    assert len(read(folder)["purged"]["files"]) == 5


def test_the_name_of_a_copy_is_quoted_for_the_shell(run, capsys):
    purge(run(datasets={"forget": {"hub": {"id": "a/b; rm -rf ~"}}}))
    assert "hf cache rm 'dataset/a/b; rm -rf ~' removes" in capsys.readouterr().err


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
    monkeypatch.setattr("mollm_cli.launch.lock._lock", lambda opened: None)
    with pytest.raises(RequestError, match="stop it first"):  # nobody can tell: the manifest decides
        purge(folder)
    assert (cache / "tokens" / "a").exists()


def test_a_run_that_was_killed_is_purged(run, cache):
    purge(run(status="running"))
    assert not (cache / "tokens" / "a").exists()


@pytest.mark.parametrize("content", [None, "{", "[1]", "[" * 100_000])
def test_what_is_no_run_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(RequestError, match=r"run directory, found no manifest.json|must hold a mapping, found another"):
        purge(tmp_path)
