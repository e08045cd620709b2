from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from mollm_cli.core.endings import Interrupted
from mollm_cli.core.errors import GateError, InterruptionError, NonFiniteError, RequestError
from mollm_cli.launch.session import session
from mollm_cli.run.context import Context
from tests.support.asked import ASKED


@pytest.fixture
def ended(tmp_path: Path) -> Callable[[BaseException | None], tuple[int, dict[str, Any]]]:
    """Exit code and manifest of a run whose body ends like this."""

    def run(error: BaseException | None) -> tuple[int, dict[str, Any]]:
        def body(*arguments: Any) -> None:
            if error is not None:
                raise error

        code = session(ASKED, tmp_path / "run", {"seed": 4, "list": [1]}, "finetune", body)
        return code, json.loads((tmp_path / "run" / "manifest.json").read_text())

    return run


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (None, 0, "completed"),
        (RequestError("not like this"), 2, "failed"),
        (NonFiniteError("not a number"), 1, "failed"),
        (GateError("too little"), 3, "gate_failed"),
        (InterruptionError("stopped", 143), 143, "interrupted"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Interrupted(129), 129, "interrupted"),
        (MemoryError(), 1, "failed"),
        (SystemExit("ours, of a loss of one's own"), 1, "failed"),
        (RuntimeError("ours"), 1, "failed"),
        (ValueError("ours too"), 1, "failed"),
    ],
)
def test_how_a_body_ends_becomes_status_and_exit_code(
    error: BaseException | None, code: int, status: str, ended: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found, manifest = ended(error)
    assert (found, manifest["exit_code"], manifest["status"]) == (code, code, status)
    captured = capsys.readouterr()
    assert captured.out == "" and str(error or "") in captured.err
    assert ("Traceback" in captured.err) == (error is not None and "ours" in str(error))
    assert (manifest.get("error") is None) == (status != "failed")
    assert (manifest["run_name"], manifest["loss"], manifest["seed"]) == ("mine", "finetune", 4)
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text()) == {"seed": 4, "list": [1]}
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_report_that_cannot_be_written_does_not_fail_the_run(
    ended: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(run_dir: Path) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr("mollm_cli.reporting.report.write_report", broken)
    assert ended(None)[0] == 0
    assert "no ink" in capsys.readouterr().err


def _told(tmp_path: Path, error: BaseException | None, **asked: Any) -> int:
    def body(context: Context) -> None:
        if error is None:
            context.manifest.set(gates=[{"gate": "a<1", "value": 0.5, "bound": 1.0, "held": True, "why": ""}])
        else:
            raise error

    return session(SimpleNamespace(**vars(ASKED) | asked), tmp_path / "run", {}, "unlearn", body)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code", "counts"),
    [
        (None, 0, ("2", "0")),
        (RequestError("no such file"), 2, ("1", "1")),
        (RuntimeError("ours"), 1, ("1", "1")),
        (InterruptionError("stopped", 143), 143, ("1", "1")),
    ],
)
def test_ci_is_told_however_a_run_ends(
    error: BaseException | None, code: int, counts: tuple[str, str], tmp_path: Path
) -> None:
    files = {"junit": str(tmp_path / "gates.xml"), "github_summary": str(tmp_path / "summary.md")}
    assert _told(tmp_path, error, **files) == code
    suite = ElementTree.parse(files["junit"]).getroot()[0]
    assert (suite.get("tests"), suite.get("errors"), suite.get("name")) == (*counts, "mine")
    assert Path(files["github_summary"]).read_text().startswith("### mine: ")


def test_a_file_for_ci_is_tried_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="junit must be a file that can be written"):
        _told(tmp_path, None, junit=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_file_for_ci_that_got_lost_changes_no_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("mollm_cli.reporting.gate_reports.write_files", full)
    assert _told(tmp_path, None, junit=str(tmp_path / "gates.xml")) == 0
    assert "mollm-unlearn: the gates are in manifest.json only: no space left" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    wanted = r"output_root must be a folder that can be written to, found '.*file/run': Not a directory. Make room"
    with pytest.raises(RequestError, match=wanted):
        session(ASKED, tmp_path / "file" / "run", {}, "finetune", lambda *arguments: None)
