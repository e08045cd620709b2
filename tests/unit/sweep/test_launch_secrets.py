from __future__ import annotations

from pathlib import Path

import pytest

from mollm_cli.sweep.launchers import hide_secrets


def test_hydras_own_file_of_a_sweep_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "plumtree-94")
    file = tmp_path / "multirun.yaml"
    hide_secrets(file)  # a launcher that writes none
    file.write_text("overrides:\n  task:\n  - +tracker.api_key=abc\n  - seed=0,1\n  - run_name=plumtree-94\na: b\n")
    hide_secrets(file)
    shown = "overrides:\n  task:\n  - +tracker.api_key=***\n  - seed=0,1\n  - run_name=***\na: b\n"
    assert file.read_text() == shown


def test_it_is_replaced_and_no_other_name_of_it_written_to(tmp_path: Path) -> None:
    file = tmp_path / "sweep" / "multirun.yaml"
    file.parent.mkdir()
    (tmp_path / "mine").write_text("+a.api_key=abc\n")
    file.hardlink_to(tmp_path / "mine")
    hide_secrets(file)
    assert (file.read_text(), (tmp_path / "mine").read_text()) == ("+a.api_key=***\n", "+a.api_key=abc\n")
