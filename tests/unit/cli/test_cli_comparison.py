from __future__ import annotations

import json
from pathlib import Path

import pytest

from mollm_cli.cli.comparison import main


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two runs of one loss."""
    for seed in (0, 1):
        run = tmp_path / str(seed)
        run.mkdir()
        manifest = {"status": "completed", "exit_code": 0, "seed": seed, "loss": "ga"}
        (run / "manifest.json").write_text(json.dumps(manifest))
        (run / "config.yaml").write_text(f"seed: {seed}\nloss: {{_target_: mollm_cli.losses.ga.ga}}\n")
        after = {"forget_probability": 0.25 + 0.5 * seed, "retain_probability": 0.9}
        (run / "metrics.json").write_text(json.dumps({"before": None, "after": after, "oracle": None}))
    return tmp_path


def test_a_table_that_nothing_wraps(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(sweep)]) == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 2 and "2/2" in printed and "0.5" in printed


def test_markdown_of_named_runs(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(sweep / "0"), str(sweep / "1"), "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all(line.startswith("| ") for line in lines)


def test_csv_is_written_and_its_path_printed(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--csv", str(sweep)]) == 0
    assert capsys.readouterr().out == f"{sweep / 'sweep.csv'}\n"
    assert len((sweep / "sweep.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ([], "the following arguments are required: DIR; see --help"),
        (["--makrdown", "x"], "unrecognized arguments: --makrdown; see --help"),
        (["--csv", "a", "b"], "--csv must be given one sweep directory, found 2; name one"),
        (["nowhere"], "'nowhere' is neither"),
    ],
)
def test_wrong_requests(typed: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(typed) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and message in captured.err and captured.err.count("\n") == 1


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, start in (("--help", "usage: mollm-compare"), ("--version", "mollm-unlearn 0.")):
        with pytest.raises(SystemExit) as ended:
            main([flag])
        assert ended.value.code == 0
        assert capsys.readouterr().out.startswith(start)
