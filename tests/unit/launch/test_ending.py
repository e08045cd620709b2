"""How a command ends: its own code, a refusal's, or that of Ctrl-C; a trace of Python's for a fault of ours only."""

from __future__ import annotations

import signal

import pytest

from mollm_cli.core.endings import AS_IT_WAS, CODES, if_stopped
from mollm_cli.core.errors import GateError, RequestError
from mollm_cli.launch.ending import exit_code


def _raising(error: BaseException):
    def answer() -> int:
        raise error

    return answer


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_has_its_own_code(code: int) -> None:
    assert exit_code("mollm-try", lambda: code) == code


def test_a_refusal_is_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("mollm-try", _raising(RequestError("RUN must be a run, found none"))) == 2
    assert capsys.readouterr() == ("", "mollm-try: RUN must be a run, found none\n")


TYPED = ["/bin/mollm-unlearn", "--check", 'run_name="a b"', "data.forget.token=hidden"]
AGAIN = "mollm-unlearn --check 'run_name=\"a b\"' 'data.forget.token=***'"


@pytest.mark.parametrize(
    ("number", "code"), [(None, 130), (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_ctrl_c_ends_with_the_command_that_was_typed(
    number: signal.Signals | None, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", TYPED)

    def answer() -> int:
        if number is None:
            raise KeyboardInterrupt
        signal.raise_signal(number)
        return 0

    before = [signal.getsignal(each) for each in CODES]
    assert exit_code("mollm-unlearn", answer) == code
    told = f"mollm-unlearn: interrupted, nothing was kept; start again with: {AGAIN}\n"
    assert capsys.readouterr() == ("", told)
    assert [signal.getsignal(each) for each in CODES] == before


def test_a_library_that_takes_ctrl_c_for_a_problem_of_its_own_changes_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """argparse, which fails to clean up, and OmegaConf, which raises its own in place of all that is raised."""
    monkeypatch.setattr("sys.argv", TYPED)

    def answer() -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        except BaseException:
            raise RequestError("") from None
        return 0

    assert exit_code("mollm-unlearn", answer) == 130
    assert AGAIN in capsys.readouterr().err


def test_what_was_interrupted_says_what_it_leaves_and_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    def answer() -> int:
        with if_stopped("jobs that have ended are kept", "mollm-unlearn --resume-sweep S"), if_stopped(AS_IT_WAS):
            raise KeyboardInterrupt

    assert exit_code("mollm-unlearn", answer) == 130
    assert capsys.readouterr().err.startswith("mollm-unlearn: interrupted, the run is as it was; start again with: ")

    def sweep() -> int:
        with if_stopped("jobs that have ended are kept", "mollm-unlearn --resume-sweep S"):
            raise KeyboardInterrupt

    assert exit_code("mollm-unlearn", sweep) == 130
    told = "interrupted, jobs that have ended are kept; start again with: mollm-unlearn --resume-sweep S\n"
    assert capsys.readouterr().err == f"mollm-unlearn: {told}"


@pytest.mark.parametrize(("done", "code"), [(SystemExit(), 0), (SystemExit(2), 2), (SystemExit("no such"), 1)])
def test_a_parser_that_has_printed_ends_with_its_own_code(done: SystemExit, code: int) -> None:
    assert exit_code("mollm-try", _raising(done)) == code


def test_other_errors_have_the_code_that_is_theirs(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("mollm-unlearn", _raising(GateError("too little"))) == 3
    assert exit_code("mollm-unlearn", _raising(ValueError("ours"))) == 1
    told = capsys.readouterr().err
    assert told.startswith("mollm-unlearn: too little\n") and "Traceback" in told and "ValueError: ours" in told
