from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
import time

import pytest

from mollm_cli.launch.lock import held

CHILD = """
import sys, time
from pathlib import Path
from mollm_cli.launch.lock import held
with held(Path(sys.argv[1])) as alone:
    print(alone, flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time_holds_a_directory(tmp_path):
    with held(tmp_path) as first, held(tmp_path) as second:
        assert (first, second) == (True, False)
    with held(tmp_path) as again:
        assert again is True
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_holds_nothing(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "True\n"
    with held(tmp_path) as alone:
        assert alone is False
    child.kill()
    child.wait()
    for _ in range(50):
        with held(tmp_path) as alone:
            if alone:
                return
        time.sleep(0.1)
    raise AssertionError("a lock outlived its process")


@pytest.mark.parametrize(("number", "answer"), [(errno.EBADF, None), (errno.ENOLCK, None), (errno.EWOULDBLOCK, False)])
def test_where_nobody_can_tell(tmp_path, monkeypatch, number, answer):
    def refuse(*_):
        raise OSError(number, "no")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with held(tmp_path) as alone:
        assert alone is answer


def test_a_folder_that_is_not_there_cannot_be_told_of(tmp_path):
    with held(tmp_path / "nowhere") as alone:
        assert alone is None
