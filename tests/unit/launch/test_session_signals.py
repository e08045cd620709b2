"""Signals on signals: manifest, exit code and stderr say the same, whenever the second and the third come."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.core.manifest import Manifest
from mollm_cli.launch.process_group import ProcessGroup
from mollm_cli.launch.session import session
from mollm_cli.run.context import Context
from tests.support.asked import ASKED
from tests.support.disk import fill, small_disk


def _signalled(*_: Any) -> None:
    signal.raise_signal(signal.SIGTERM)


def _facts(run_dir: Path) -> tuple[str, int | None]:
    facts = json.loads((run_dir / "manifest.json").read_text())
    return facts["status"], facts["exit_code"]


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[int, tuple[str, int | None]]]:
    """How the process would have been gone at once, and what the manifest said by then."""
    found: list[tuple[int, tuple[str, int | None]]] = []
    monkeypatch.setattr("os._exit", lambda code: found.append((code, _facts(tmp_path / "run"))))
    return found


def _after(honest: Callable[..., Any], first: Callable[[], None]) -> Callable[..., Any]:
    def troubled(*given: Any, **more: Any) -> Any:
        first()
        return honest(*given, **more)

    return troubled


def test_a_second_signal_while_the_manifest_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Manifest, "end", _after(Manifest.end, _signalled))
    assert session(ASKED, tmp_path / "run", {}, "unlearn", _signalled) == 143
    assert _facts(tmp_path / "run") == ("interrupted", 143)
    told = capsys.readouterr().err
    assert told.startswith("mollm-unlearn: interrupted; go on with: mollm-unlearn ") and told.count("\n") == 1


def test_a_second_signal_while_the_first_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProcessGroup, "trouble", _after(ProcessGroup.trouble, _signalled))
    assert session(ASKED, tmp_path / "run", {}, "unlearn", _signalled) == 143
    assert _facts(tmp_path / "run") == ("interrupted", 143)


def test_a_defect_while_a_defect_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def worse(*_: Any) -> None:
        raise RuntimeError("no words")

    monkeypatch.setattr("mollm_cli.launch.session.trace", worse)
    assert session(ASKED, tmp_path / "run", {}, "unlearn", lambda *_: 1 // 0) == 1
    assert _facts(tmp_path / "run") == ("failed", 1)


def test_the_third_signal_is_written_down_before_the_process_is_gone(tmp_path: Path, gone: list[Any]) -> None:
    def body(*_: Any) -> None:
        for _ in range(3):
            with contextlib.suppress(KeyboardInterrupt):
                _signalled()

    session(ASKED, tmp_path / "run", {}, "unlearn", body)
    assert gone == [(143, ("interrupted", 143))]


def test_three_signals_in_the_report_of_a_run_that_has_ended_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: list[Any]
) -> None:
    def report(run_dir: Path) -> None:
        for _ in range(3):
            with contextlib.suppress(KeyboardInterrupt):
                _signalled()

    monkeypatch.setattr("mollm_cli.reporting.report.write_report", report)
    assert session(ASKED, tmp_path / "run", {}, "unlearn", lambda *_: None) == 0
    assert gone == [(0, ("completed", 0))]


def test_a_disk_without_room_for_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        if disk is None:
            pytest.skip("this system lets us mount no tmpfs; tests/unit/core/test_reserve.py has a stand-in")

        def body(context: Context) -> None:
            fill(disk, 0)
            (context.run_dir / "train.jsonl").write_text("x" * 5000)

        assert session(ASKED, disk / "run", {}, "unlearn", body) == 1
        assert _facts(disk / "run") == ("failed", 1)
        assert not list((disk / "run").glob(".*"))
    told = capsys.readouterr().err
    assert "the disk must have room for what the run writes, found 'No space left on device'" in told
    assert "manifest.json does not say" not in told
