"""What no filesystem takes as a name."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from mollm_cli.cli.compare_runs import main as compare
from mollm_cli.configuration.programs import UNLEARN
from mollm_cli.core.errors import RequestError
from mollm_cli.core.paths import short_paths
from tests.support.cli import answer

LONG = "[" * 1300


def test_a_path_that_is_too_long_is_refused_and_other_errors_pass(tmp_path: Path) -> None:
    with (
        pytest.raises(RequestError, match=r"a path must not be longer .* begins with '.{80}'; shorten it"),
        short_paths(),
    ):
        (tmp_path / LONG).stat()
    with pytest.raises(OSError, match="full") as passed, short_paths():
        raise OSError(errno.ENOSPC, "full")
    assert passed.value.errno == errno.ENOSPC


@pytest.mark.parametrize("typed", [("--help", "--config-dir", LONG), ("--purge", LONG), ("--resume-sweep", LONG)])
def test_every_flag_with_a_path(typed: tuple[str, ...]) -> None:
    done = answer(UNLEARN, *typed)
    assert (done.code, done.out) == (2, "") and done.err.count("\n") == 1


def test_a_run_to_compare(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare([LONG]) == 2
    assert "shorten it" in capsys.readouterr().err
