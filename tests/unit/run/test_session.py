from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from mollm_cli.core.errors import GateError, InterruptionError, NonFiniteError, RequestError
from mollm_cli.run.session import session

ASKED: Any = SimpleNamespace(names={"solver": "weighted_sum"}, loss=None, run_name="mine", seed=4)


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


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    wanted = r"output_root must be a folder that can be written to, found '.*file/run': Not a directory. Make room"
    with pytest.raises(RequestError, match=wanted):
        session(ASKED, tmp_path / "file" / "run", {}, "finetune", lambda *arguments: None)
