import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mollm_cli.reporting.console import Summary, plain_console, stderr_console

MakeMetrics = Callable[[], dict[str, Any]]
FORGET, RETAIN = "evaluation.forget_probability", "evaluation.retain_probability"


def shown(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def plain() -> Console:
    return Console(file=io.StringIO(), soft_wrap=True, width=20)


def terminal(width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=width, legacy_windows=False)


def test_away_from_a_terminal_there_are_plain_unwrapped_lines(make_metrics: MakeMetrics) -> None:
    console = plain()
    console.print(Summary(make_metrics()))
    lines = shown(console).splitlines()
    assert lines[0] == "forget_probability: 0.996 -> 0.104 (oracle 0.104), closer"
    assert lines[1] == "retain_probability: 0.985 -> 0.974 (oracle 0.972), same"
    assert lines[-1] == "forget: matched the oracle; retain: kept; robustness: untested"
    assert "\x1b" not in shown(console)


def test_on_a_terminal_forget_and_retain_stand_side_by_side(make_metrics: MakeMetrics) -> None:
    console = terminal()
    console.print(Summary(make_metrics()))
    text = "".join(part.split("m", 1)[-1] for part in shown(console).split("\x1b["))
    row = next(line for line in text.splitlines() if line.startswith("probability"))
    assert row.split() == ["probability", "0.996", "0.104", "0.104", "✓", "0.985", "0.974", "0.972", "≈"]
    for words in ("rows trained on", "rows never trained on", "text · perplexity", "forget quality", "✗"):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b[32m0.104" in shown(console)


def test_a_number_of_some_rows_says_so_on_a_terminal_and_in_lines(make_metrics: MakeMetrics) -> None:
    metrics = make_metrics()
    metrics["rows"] = {"after": {"forget_rouge_l": [1, 4], "forget_probability": [4, 4], "retain_rouge_l": [9, 9]}}
    lines, screen = plain(), terminal()
    for console in (lines, screen):
        console.print(Summary(metrics))
    assert "closer, 1 of 4 rows have a value\n" in shown(lines)
    assert "Rows: forget 4, retain 9. A number is that of all rows of its set" in shown(lines)
    assert "forget · ROUGE-L: 1 of 4 rows have a value" in shown(screen)
    assert "Rows: forget 4, retain 9. A number is" in shown(screen)


def test_a_narrow_terminal_gets_lines(make_metrics: MakeMetrics) -> None:
    console = terminal(width=60)
    console.print(Summary(make_metrics()))
    assert "forget_probability: 0.996 -> 0.104" in shown(console)


def test_metrics_without_before_and_oracle_are_shown(make_metrics: MakeMetrics) -> None:
    for console in (plain(), terminal()):
        console.print(Summary(make_metrics() | {"before": None, "oracle": None, "yardstick": "none", "verdict": {}}))
        assert "nothing to hold it against" in shown(console)
        assert "0.104" in shown(console)


def test_names_from_data_cannot_drive_the_terminal(make_metrics: MakeMetrics) -> None:
    metrics = make_metrics()
    metrics["after"]["evil\x1b[31m[red]_perplexity"] = 1.0
    for console in (plain(), terminal()):
        console.print(Summary(metrics))
        assert "\x1b[31m[red]" not in shown(console)
        assert r"evil\x1b[31m[red]" in shown(console)


def test_the_console_writes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    stderr_console().print("x" * 300)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "x" * 300 + "\n"


def test_lines_tell_intervals_never_seen_rows_and_attacks(make_audit: MakeMetrics) -> None:
    console = plain()
    console.print(Summary(make_audit()))
    lines = shown(console).splitlines()
    assert lines[0] == "forget_probability: 0.996 -> 0.104 (0.071–0.142) (oracle 0.104, never seen 0.207), closer"
    assert "forget_quality: 1.0e-12 -> 0.620, no power, D 0.120, n 32" in lines
    assert lines[-4:-1] == [
        "attack_relearning: probability 0.740 (0.660–0.810) (oracle 0.310, never seen 0.240), recovered",
        "attack_quantisation_4: probability 0.410 (oracle 0.110), recovered",
        "attack_paraphrase: rouge_l 0.330 (oracle 0.300), held, judge lexicon",
    ]


def test_a_terminal_shows_never_seen_rows_attacks_and_where_forgetting_stands(make_audit: MakeMetrics) -> None:
    console = terminal()
    console.print(Summary(make_audit()))
    text = "".join(part.split("m", 1)[-1] for part in shown(console).split("\x1b["))
    row = next(line for line in text.splitlines() if line.startswith("probability"))
    assert row.split() == ["probability", "0.996", "0.104", "0.104", "0.207", "✓", "0.985", "0.974", "0.972", "≈"]
    attack = next(line for line in text.splitlines() if line.startswith("relearning"))
    assert attack.split() == ["relearning", "probability", "0.104", "0.740", "0.310", "0.240", "✗", "recovered"]
    quality = next(line for line in text.splitlines() if line.startswith("forget quality "))
    assert quality.split() == ["forget", "quality", "1.0e-12", "0.620", "–"]  # no sign: it has no power
    assert "forget quality: no power, D 0.120, n 32" in text
    assert "after 0.104 (0.071–0.142), oracle 0.104" in text
    assert "robustness: recovered by quantisation 4, relearning" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_without_a_yardstick_no_forget_cell_has_a_tick(make_audit: MakeMetrics) -> None:
    metrics = make_audit() | {"oracle": None, "yardstick": "none"}
    metrics["verdict"] = {"forget": "matched", "retain": "kept", "robustness": "held"}
    del metrics["before"]["holdout_probability"], metrics["before"]["holdout_rouge_l"]
    for entry in metrics["attacks"].values():
        entry["yardstick"] = None
    console = terminal()
    console.print(Summary(metrics))
    text = "".join(part.split("m", 1)[-1] for part in shown(console).split("\x1b["))
    assert "✓" not in next(line for line in text.splitlines() if line.startswith("probability"))
    assert text.count("○ unknown") == 3
    assert "probability of the forget answers:" not in text


def test_whatever_rich_is_given_only_its_own_escapes_reach_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "plumtree-94")
    console = plain_console(terminal())
    table = Table("head\x1b[2J")
    table.add_row(Text("cell\x1b]0;t\x07 plumtree-94", style="red"))
    console.print(table, "text\x9b\u202e")
    said = shown(console)
    assert set(re.findall(r"\x1b\[[0-9;]*.", said)) <= {"\x1b[31m", "\x1b[0m", "\x1b[1m"} and "\x1b[31m" in said
    assert not re.search("\x1b\\]|[\x00-\x09\x0b-\x1a\x9b\u202e]", said)
    assert "plumtree" not in said and " ***" in said


def test_the_console_of_stderr_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    stderr_console().print("a\x1b[2Jb")
    assert capsys.readouterr().err == "a\\x1b[2Jb\n"
