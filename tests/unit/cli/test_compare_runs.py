from __future__ import annotations

import json
from pathlib import Path

import pytest

from mollm_cli.cli.compare_runs import main


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two runs of one loss."""
    for seed in (0, 1):
        run = tmp_path / str(seed)
        run.mkdir()
        manifest = {"status": "completed", "exit_code": 0, "seed": seed, "loss": "ga"}
        (run / "manifest.json").write_text(json.dumps(manifest))
        (run / "config.yaml").write_text(f"seed: {seed}\nloss: {{_target_: mollm_cli.losses.ga.ga}}\n")
        after = {"forget_probability": 0.25 + 0.5 * seed, "retain_probability": 0.9, "forget_rouge_l": 0.5}
        (run / "metrics.json").write_text(json.dumps({"before": None, "after": after, "oracle": None}))
    return tmp_path


def test_a_table_that_nothing_wraps(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(sweep)]) == 0
    header, row, *notes = capsys.readouterr().out.splitlines()
    assert "finished" in header and "2/2" in row and "0.500 ± 0.250" in row
    assert notes[0] == "" and notes[1].startswith("mean ± standard error") and notes[2].startswith("★ on the Pareto")


def test_markdown_of_named_runs(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(sweep / "0"), str(sweep / "1"), "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("| ") for line in lines[:3]) and all(line.startswith("- ") for line in lines[4:])


def test_csv_of_any_runs_on_stdout_or_in_a_file(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(sweep / "1"), str(sweep / "0"), "--csv"]) == 0
    printed = capsys.readouterr()
    assert [line.split(",")[0] for line in printed.out.splitlines()] == ["run", "1", "0"] and printed.err == ""
    target = tmp_path / "runs.csv"
    assert main([str(sweep / "1"), str(sweep / "0"), "--csv", str(target)]) == 0
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"wrote {target}\n")
    assert target.read_text() == printed.out


def test_several_forms_at_once(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, table = tmp_path / "x.html", tmp_path / "x.md"
    assert main([str(sweep), "--csv", "--html", str(page), "--markdown", str(table)]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("run,status") and told.err == f"wrote {table}\nwrote {page}\n"
    assert page.read_text().startswith("<!doctype html>") and table.read_text().startswith("|  | runs |")


def test_columns_are_picked(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = "|  | runs | finished | front | "
    assert main([str(sweep), "--markdown", "--metrics", "retain_probability,forget_probability"]) == 0
    assert capsys.readouterr().out.startswith(f"{header}retain prob. | forget prob. |\n")
    assert main([str(sweep), "--markdown", "--all"]) == 0
    assert capsys.readouterr().out.startswith(f"{header}forget prob. | retain prob. | forget ROUGE-L |\n")
    assert main([str(sweep), "--markdown"]) == 0
    assert capsys.readouterr().out.startswith(f"{header}forget prob. | retain prob. |\n")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ([], "run directories or a sweep directory must come first, found none; name some, or see --help"),
        (["--makrdown", "x"], "unrecognized arguments: --makrdown; see --help"),
        (["--csv", "{sweep}"], "--csv must be followed by a file to write or by nothing, found the folder '{sweep}'"),
        (["{sweep}", "--markdown", "{sweep}/0"], "found the folder '{sweep}/0'; name the runs before the flags"),
        (["{sweep}", "--html"], "argument --html: expected one argument; see --help"),
        (["{sweep}", "--csv", "--markdown"], "one table can go to stdout, found --csv and --markdown; give one"),
        (["{sweep}", "--all", "--metrics", "x"], "not allowed with argument --all; see --help"),
        (["{sweep}", "--metrics", ","], "--metrics must be followed by names, found none"),
        (["{sweep}", "--metrics", "retain_probabilty"], "did you mean 'retain_probability' or"),
        (
            ["{sweep}", "--html", "{sweep}/no/x.html"],
            "--html must name a file that can be written, found '{sweep}/no/x.html': No such file or directory; name",
        ),
        (["nowhere"], "'nowhere' is neither"),
    ],
)
def test_wrong_requests(sweep: Path, typed: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([text.format(sweep=sweep) for text in typed]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and message.format(sweep=sweep) in captured.err and captured.err.count("\n") == 1


def test_a_run_whose_files_cannot_be_read(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweep / "1" / "metrics.json").write_text('{"after": ')
    assert main([str(sweep)]) == 2
    told = capsys.readouterr()
    assert told.out == "" and "metrics.json must be JSON" in told.err and "Restore the file" in told.err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, start in (("--help", "usage: mollm-compare"), ("--version", "mollm-unlearn 0.")):
        assert main([flag]) == 0
        assert capsys.readouterr().out.startswith(start)
