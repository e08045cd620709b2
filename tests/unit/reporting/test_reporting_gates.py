"""Gates for people and for CI servers, with hostile names."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from mollm_cli.core.errors import RequestError
from mollm_cli.reporting.gate_reports import GateTable, files, junit, markdown, plain_lines, write_files

HELD = {"gate": "forget_probability<=0.6", "value": 0.25, "bound": 0.6, "held": True, "why": ""}
FAILED = {"gate": "retain_probability>=0.95*before", "value": 0.5, "bound": 0.76, "held": False, "why": "0.5 is not >="}
MISSING = {"gate": "forget_quality>=0.05", "value": None, "bound": 0.05, "held": False, "why": "forget_quality is null"}
EVIL = "\x00\x1b[31m<b>&\"'\ud800\ufffe|`*_[x](y)\n]]>"
SEVERAL = [HELD, FAILED, MISSING]


def _manifest(**facts: Any) -> dict[str, Any]:
    started = {"run_name": "mollm", "started": "2026-01-31T12:00:00Z", "wall_seconds": 1.5}
    return started | {"status": "gate_failed", "gates": SEVERAL} | facts


def _suite(manifest: dict[str, Any]) -> ElementTree.Element:
    (suite,) = ElementTree.fromstring(junit(manifest))
    return suite


def test_junit_has_a_case_a_gate() -> None:
    suite = _suite(_manifest())
    assert {key: suite.get(key) for key in ("name", "tests", "failures", "errors", "time", "timestamp")} == {
        "name": "mollm", "tests": "4", "failures": "2", "errors": "0", "time": "1.5", "timestamp": "2026-01-31T12:00:00"
    }  # fmt: skip
    cases = [(case.get("classname"), case.get("name"), [child.tag for child in case]) for case in suite]
    assert cases == [
        ("mollm-unlearn", "run", []),
        ("gates", HELD["gate"], []),
        ("gates", FAILED["gate"], ["failure"]),
        ("gates", MISSING["gate"], ["failure"]),
    ]
    assert suite[2][0].get("message") == "0.5 is not >=" and suite[3][0].get("message") == "forget_quality is null"


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"status": "failed", "error": "step 2: loss.a is not finite"}, "step 2: loss.a is not finite"),
        ({"status": "interrupted"}, "the run ended as interrupted"),
    ],
)
def test_a_run_that_did_not_reach_its_gates_is_an_error(facts: dict[str, str], message: str) -> None:
    manifest = _manifest(**facts)
    del manifest["gates"]
    suite = _suite(manifest)
    assert (suite.get("tests"), suite.get("errors"), suite.get("failures")) == ("1", "1", "0")
    assert (suite[0][0].tag, suite[0][0].get("message"), suite[0][0].get("type")) == ("error", message, facts["status"])
    assert markdown(manifest) == f"### mollm: {facts['status']}\n\n{message}\n\n"


def test_hostile_names_leave_the_xml_well_formed() -> None:
    suite = _suite(_manifest(run_name=EVIL, status="failed", error=EVIL, gates=[FAILED | {"gate": EVIL, "why": EVIL}]))
    kept = "\ufffd\ufffd[31m<b>&\"'\ufffd\ufffd|`*_[x](y)\n]]>"
    assert suite.get("name") == kept
    assert suite[0][0].get("message") == suite[1].get("name") == suite[1][0].get("message") == kept


def test_markdown_is_a_table_of_the_gates() -> None:
    assert markdown(_manifest()) == (
        "### mollm: gate\\_failed\n\n"
        "| gate | value | bound | |\n| --- | ---: | ---: | --- |\n"
        "| forget\\_probability\\<=0.6 | 0.25 | 0.6 | ✅ held |\n"
        "| retain\\_probability\\>=0.95\\*before | 0.5 | 0.76 | ❌ 0.5 is not \\>= |\n"
        "| forget\\_quality\\>=0.05 | – | 0.05 | ❌ forget\\_quality is null |\n\n"
    )


def test_hostile_names_stay_in_their_cell() -> None:
    text = markdown(_manifest(run_name=EVIL, status="failed", error=EVIL, gates=[FAILED | {"gate": EVIL, "why": EVIL}]))
    cell = r"\x00\x1b[31m" + "<b>&\"'" + r"\ud800\ufffe" + "|`*_[x](y) ]]>"
    for character in "\\|<>[]`*_":
        cell = cell.replace(character, f"\\{character}")
    title, _, error, _, *rows = text.splitlines()
    assert (title, error) == (f"### {cell}: failed", cell)
    assert rows[2] == f"| {cell} | 0.5 | 0.76 | ❌ {cell} |"


def test_lines_away_from_a_terminal_and_a_table_on_one() -> None:
    assert plain_lines(SEVERAL) == [
        "gate held: forget_probability<=0.6 (value 0.25, bound 0.6)",
        "gate FAILED: retain_probability>=0.95*before (value 0.5, bound 0.76): 0.5 is not >=",
        "gate FAILED: forget_quality>=0.05 (value –, bound 0.05): forget_quality is null",
    ]
    for terminal in (True, False):
        out = io.StringIO()
        Console(file=out, force_terminal=terminal, width=120).print(GateTable(SEVERAL))
        assert ("✓ held" in out.getvalue()) == terminal == ("gate held" not in out.getvalue())
        assert "forget_quality is null" in out.getvalue()


def test_files_are_written_where_they_were_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    summary.write_text("before\n")
    for _ in range(2):
        write_files(_manifest(), str(tmp_path / "new" / "gates.xml"), "auto")
    assert (tmp_path / "new" / "gates.xml").read_bytes() == junit(_manifest())
    assert summary.read_text() == "before\n" + 2 * markdown(_manifest())
    write_files(_manifest(), None, str(tmp_path / "other.md"))
    assert (tmp_path / "other.md").read_text() == markdown(_manifest())
    assert files(None, None) == {}


@pytest.mark.parametrize("key", ["junit", "github_summary"])
@pytest.mark.parametrize("name", ["folder", "file/gates.xml", "x" * 300])
def test_a_file_that_cannot_be_written_is_refused(key: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    asked: dict[str, Any] = {"junit_file": None, "github_summary": None}
    asked["junit_file" if key == "junit" else key] = str(tmp_path / name)
    with pytest.raises(RequestError, match=f"^{key} must be a file that can be written, found '"):
        files(**asked)


@pytest.mark.parametrize("value", [None, ""])
def test_auto_outside_of_github(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    if value is not None:
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", value)
    with pytest.raises(
        RequestError, match=r"github_summary=auto is the file that GITHUB_STEP_SUMMARY names .* Set git"
    ):
        files(None, "auto")
