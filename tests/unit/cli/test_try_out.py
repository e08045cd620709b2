"""``mollm-try`` before and after the models: what is read, what is printed, how it ends."""

from __future__ import annotations

import importlib
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.cli.try_out import BATCH, main, read_prompts
from mollm_cli.core.errors import RequestError

Ask = Callable[..., int]


class Echo:
    """A trial whose models repeat the prompt, and that refuses the prompt "long"."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.before: str | None = "before: "

    def check(self, prompts: Sequence[str]) -> None:
        if "long" in prompts:
            raise RequestError("a prompt must leave room, found none; shorten it")

    def answers(self, prompts: Sequence[str], batch_size: int = 1) -> list[dict[str, str | None]]:
        print("noise")
        self.batches.append(len(prompts))
        self.check(prompts)
        before = self.before
        return [{"before": before and before + p, "after": "" if p == "silent" else p.upper()} for p in prompts]


@pytest.fixture
def opened() -> list[dict[str, Any]]:
    """How open_trial was called."""
    return []


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch, opened: list[dict[str, Any]]) -> Echo:
    """Models that are not loaded."""
    echo = Echo()

    def fake(run_dir: Path, **options: Any) -> Echo:
        opened.append({"run_dir": run_dir} | options)
        print("noise")
        return echo

    module = importlib.import_module("mollm_cli.run.side_by_side")
    monkeypatch.setattr(module, "open_trial", fake)
    monkeypatch.setattr(module, "require_run", lambda run_dir: None)
    return echo


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """A command line with these bytes on stdin."""

    def ask(*typed: str, stdin: bytes | str) -> int:
        content = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        return main(typed)

    return ask


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """A command line on a terminal, with these lines typed and then Ctrl-D, or an exception in its place."""

    def ask(*lines: str, end: type[BaseException] = EOFError) -> int:
        waiting = list(lines)

        def typed(prompt: str = "") -> str:
            if not waiting:
                raise end
            return waiting.pop(0)

        monkeypatch.setattr("builtins.input", typed)
        for stream in ("stdin", "stdout"):
            monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", "60")
        return main(["RUN"])

    return ask


def test_rows_in_and_rows_out(trial: Echo, piped: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    rows = '\ufeff{"prompt": "one", "id": 7}\n\n"zwei \\u00e4"\n'
    assert piped("RUN", stdin=rows) == 0
    told = capsys.readouterr()
    assert [json.loads(line) for line in told.out.splitlines()] == [
        {"prompt": "one", "before": "before: one", "after": "ONE"},
        {"prompt": "zwei ä", "before": "before: zwei ä", "after": "ZWEI Ä"},
    ]
    assert told.err == "noise\nnoise\n"


def test_many_rows_are_answered_in_batches_in_their_order(
    trial: Echo, piped: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    count = 2 * BATCH + 3
    assert piped("RUN", stdin="\n".join(f'"{n}"' for n in range(count))) == 0
    assert trial.batches == [BATCH, BATCH, 3]
    out = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["prompt"] for line in out] == [str(n) for n in range(count)]


def test_a_model_that_is_left_out_is_null(trial: Echo, piped: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    trial.before = None
    assert piped("RUN", stdin='"one"') == 0
    assert json.loads(capsys.readouterr().out) == {"prompt": "one", "before": None, "after": "ONE"}


def test_nothing_asked_loads_nothing(trial: Echo, opened: list[Any], piped: Ask) -> None:
    assert piped("RUN", stdin="\n") == 0
    assert opened == []


def test_flags_reach_the_models(trial: Echo, opened: list[Any], piped: Ask) -> None:
    flags = ["--after-only", "--oracle", "--template", "Q {prompt}", "--max-tokens", "9", "--seed", "3"]
    assert piped("RUN", *flags, "--device", "cpu", stdin='"x"') == 0
    assert piped("RUN", stdin='"x"') == 0
    allowed = ["--trust-remote-code"]
    assert piped("RUN", *allowed, stdin='"x"') == 0 and opened.pop()["trust_remote_code"] is True
    assert {options.pop("trust_remote_code") for options in opened} == {False}
    given = {"after_only": True, "oracle": True, "template": "Q {prompt}", "max_tokens": 9, "seed": 3, "device": "cpu"}
    plain = {"after_only": False, "oracle": False, "template": None, "max_tokens": None, "seed": None, "device": "auto"}
    assert opened == [{"run_dir": Path("RUN")} | given, {"run_dir": Path("RUN")} | plain]


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        ('"a"\nWho is it?', 'row 2 must be {"prompt": "..."} or a JSON string, found text that is not JSON; put it in'),
        ('{"question": "a"}', "row 1 must be .* that is not empty, found an object with question; correct the row"),
        ("{}", "row 1 must be .* found an object with nothing; correct"),
        ('"a"\n\n{"prompt": 3}', "row 3 must be .* found an object with prompt; correct"),
        ('" "', "row 1 must be .* found an empty text; correct"),
        ('{"A Person": 1}', "row 1 must be .* found an object with a text of 8 characters; correct"),
        ("[1, 2]", "row 1 must be .* found list; correct"),
    ],
)
def test_a_wrong_row_is_named_before_a_model_is_loaded(
    stdin: str, message: str, trial: Echo, opened: list[Any], piped: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RequestError, match=message.replace('{"prompt": "..."}', ".*")):
        read_prompts(stdin)
    assert piped("RUN", stdin=stdin) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("mollm-try: stdin: row ") and told.err.count("\n") == 1
    assert opened == []


def test_bytes_that_are_no_text(trial: Echo, piped: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    assert piped("RUN", stdin=b'"\xff"') == 2
    assert "mollm-try: stdin must be UTF-8, found another byte at 1; convert it" in capsys.readouterr().err


def test_a_prompt_that_a_model_refuses_is_named_before_the_first_answer(
    trial: Echo, piped: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    assert piped("RUN", stdin='"a"\n"long"') == 2
    told = capsys.readouterr()
    assert told.out == "" and "mollm-try: stdin: row 2: a prompt must leave room" in told.err


def test_on_a_terminal_answers_stand_in_columns(
    trial: Echo, at_terminal: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    assert at_terminal("who?", "", "\x1b[2Jbad\u202e", "silent") == 0
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    heads = [line for line in out.splitlines() if "before" in line and "after" in line]
    assert len(heads) == 3 and all(len(line) <= 60 for line in out.splitlines())
    (row,) = (line for line in out.splitlines() if "WHO?" in line)
    assert row.index("before: who?") < row.index("WHO?")
    assert "(nothing)" in out and "bad" in out
    assert "\x1b[2J" not in out and "\u202e" not in out and "noise" not in out
    assert out.endswith("\n")


def test_on_a_terminal_a_refused_prompt_is_told_and_the_next_one_asked(
    trial: Echo, at_terminal: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    trial.before = None
    assert at_terminal("long", "who?") == 0
    told = capsys.readouterr()
    assert "a prompt must leave room, found none; shorten it" in told.err
    assert "WHO?" in told.out and "before" not in told.out


def test_interrupted(trial: Echo, at_terminal: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    assert at_terminal("who?", end=KeyboardInterrupt) == 130
    told = "\nmollm-try: interrupted, answers are kept nowhere; start again with: mollm-try"
    assert told in "\n" + capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ([], "the following arguments are required: RUN_DIR; see --help"),
        (["RUN", "--max-tokens", "0"], "--max-tokens: must be an integer >= 1, found '0'; see --help"),
        (["RUN", "--max-tokens", "many"], "--max-tokens: must be an integer >= 1, found 'many'"),
        (["RUN", "--template", "Q:"], "--template: must be auto, none or a text with {prompt}, found 'Q:'; see --help"),
        (["RUN", "--device", "tpu"], "--device: invalid choice: 'tpu'"),
    ],
)
def test_wrong_requests(typed: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(typed) == 2
    told = capsys.readouterr()
    assert told.out == "" and message in told.err and told.err.count("\n") == 1


@pytest.mark.parametrize("stdin", ['"x"', ""])
def test_a_folder_that_is_no_run(stdin: str, piped: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    """Told before anything is asked, also where nothing is."""
    assert piped("nowhere", stdin=stdin) == 2
    told = capsys.readouterr()
    assert told.out == "" and "mollm-try: a run directory holds" in told.err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, start in (("--help", "usage: mollm-try"), ("--version", "mollm-unlearn 0.")):
        assert main([flag]) == 0
        assert capsys.readouterr().out.startswith(start)
