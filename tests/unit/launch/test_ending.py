"""How a command ends: its own code, a refusal's, or that of Ctrl-C; a trace of Python's for a fault of ours only."""

from __future__ import annotations

import pytest

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


def test_ctrl_c_ends_with_130_and_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("mollm-try", _raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("done", "code"), [(SystemExit(), 0), (SystemExit(2), 2), (SystemExit("no such"), 1)])
def test_a_parser_that_has_printed_ends_with_its_own_code(done: SystemExit, code: int) -> None:
    assert exit_code("mollm-try", _raising(done)) == code


def test_other_errors_have_the_code_that_is_theirs(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("mollm-unlearn", _raising(GateError("too little"))) == 3
    assert exit_code("mollm-unlearn", _raising(ValueError("ours"))) == 1
    told = capsys.readouterr().err
    assert told.startswith("mollm-unlearn: too little\n") and "Traceback" in told and "ValueError: ours" in told
