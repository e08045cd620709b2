from __future__ import annotations

import io
import json
import re
import tomllib
import urllib.error
from email.message import Message
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from supply_chain import audit, licences, lock

ROOT = Path(__file__).parents[3]
A, B = "a" * 64, "b" * 64
PINS: lock.Pins = {"one": ("1.0", {A}), "two": ("2.0+cpu", {A, B})}


def _entry(name: str, version: str, digest: str | None) -> dict[str, Any]:
    info = {"archive_info": {"hashes": {"sha256": digest} if digest else {}}}
    return {"metadata": {"name": name, "version": version}, "download_info": info}


def test_what_is_written_is_read() -> None:
    text = lock.written(PINS)
    assert lock.read_lock(text) == PINS
    assert text.endswith(f"two==2.0+cpu \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\n")


def test_pips_report() -> None:
    own = {"metadata": {"name": "mine", "version": "0"}, "download_info": {"dir_info": {"editable": True}}}
    assert lock.read_report({"install": [own, _entry("O_n.e", "1.0", A)]}) == {"o-n-e": ("1.0", {A})}
    with pytest.raises(ValueError, match="pip must tell the SHA-256 of one, found none. Take it from an index"):
        lock.read_report({"install": [_entry("one", "1.0", None)]})


def test_hashes_of_the_same_version_are_kept() -> None:
    new: lock.Pins = {"one": ("1.0", {B}), "two": ("3.0", {B}), "three": ("1.0", {A})}
    assert lock.merged(new, PINS) == {"one": ("1.0", {A, B}), "two": ("3.0", {B}), "three": ("1.0", {A})}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a lock."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / lock.LOCK).write_text(lock.written(PINS))
    return tmp_path


def test_the_lock_is_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"install": [_entry("one", "1.0", B)]})))
    assert lock.main() == 0
    assert lock.read_lock((here / lock.LOCK).read_text()) == {"one": ("1.0", {A, B})}


def test_the_projects_lock_pins_what_constraints_say() -> None:
    pins = lock.read_lock((ROOT / lock.LOCK).read_text())
    said = re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    wrong = {
        name: version
        for name, version in said
        if (key := re.sub(r"[-_.]+", "-", name).lower()) in pins and pins[key][0].partition("+")[0] != version
    }
    assert not wrong, f"make lock: {wrong}"
    assert "://" not in (ROOT / lock.LOCK).read_text()


def test_the_lock_has_all_that_development_installs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~ ;]", text)[0]).lower() for text in asked}
    assert names <= set(lock.read_lock((ROOT / lock.LOCK).read_text())), "make lock"


def test_nothing_known(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = []

    def answer(request: Any, timeout: float) -> io.BytesIO:
        asked.append(json.loads(request.data))
        return io.BytesIO(json.dumps({"results": [{}, {}]}).encode())

    monkeypatch.setattr("urllib.request.urlopen", answer)
    assert audit.main() == 0
    assert "no known advisory for the 2 packages" in capsys.readouterr().out
    assert [query["version"] for query in asked[0]["queries"]] == ["1.0", "2.0"]


def test_something_known(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = {"results": [{}, {"vulns": [{"id": "B-2"}, {"id": "A-1"}]}]}
    monkeypatch.setattr(audit, "ask", lambda pins, place: found)
    assert audit.main() == 1
    assert capsys.readouterr().out == "two==2.0+cpu: A-1, B-2\n"


@pytest.mark.parametrize(
    "problem",
    [
        urllib.error.URLError("Name or service not known"),
        urllib.error.HTTPError("x", 503, "busy", Message(), None),
        TimeoutError("timed out"),
        ValueError("no JSON"),
    ],
)
def test_no_answer_is_no_clean_bill(
    problem: Exception, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setenv("ADVISORIES", "http://localhost:1/")
    monkeypatch.setattr("urllib.request.urlopen", fail)
    assert audit.main() == 2
    told = capsys.readouterr()
    assert told.out == "" and "NOT AUDITED: the advisory database cannot be reached: http://localhost:1/: " in told.err


def test_another_answer_is_none(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "ask", lambda pins, place: {"results": []})
    assert audit.main() == 2 and "NOT AUDITED" in capsys.readouterr().err
    with pytest.raises(ValueError, match="one result a package must come back, found another answer to 2 packages"):
        audit.findings(PINS, {})


def test_without_a_lock_nothing_is_audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert audit.main() == 2 and licences.main() == 2


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"License-Expression": "MIT", "License": "other"}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: BSD License", "License": "long\ntext"}, "BSD License"),
        ({"License": "Apache 2.0\nand a page of it"}, "Apache 2.0"),
        ({}, "unknown"),
    ],
)
def test_a_licence_is_what_the_metadata_says(headers: dict[str, str], expected: str) -> None:
    about = Message()
    for name, value in headers.items():
        about[name] = value
    assert licences.licence(about) == expected  # type: ignore[arg-type]


def test_what_is_needed_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"p": ["A_b>=1", 'c; extra == "dev"'], "a-b": ["d[x]~=2; python_version > '3'", "p"], "d": None}

    def requires(name: str) -> list[str] | None:
        if name not in known:
            raise PackageNotFoundError(name)
        return known[name]

    monkeypatch.setattr(licences, "requires", requires)
    assert licences.needed("p") == {"a-b", "d", "p"}


def test_an_unknown_licence_is_told(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    about = Message()
    about["Version"] = "1.0"
    monkeypatch.setattr(licences, "metadata", lambda name: about)
    (here / "docs").mkdir()
    assert licences.main() == 1
    assert "no licence in the metadata of one, two" in capsys.readouterr().err
    assert "| one | 1.0 | unknown | development |" in (here / licences.PAGE).read_text()


def test_the_page_lists_the_lock() -> None:
    listed = re.findall(r"^\| ([\w-]+) \| [\d.]", (ROOT / licences.PAGE).read_text(), re.MULTILINE)
    assert listed == sorted(lock.read_lock((ROOT / lock.LOCK).read_text()))
