"""The signals that end a run end a sweep: its worker asks the job to end, its own process starts no other."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from mollm_cli.core.endings import CODES
from mollm_cli.sweep.job import STOP, _asked
from mollm_cli.sweep.launchers import _stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_worker_ends_its_job(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with _asked(True, 0) as asked:
        signal.raise_signal(signal.SIGINT)  # a terminal's, for the sweep itself to answer
        assert not asked.ended
        signal.raise_signal(number)
        assert asked.ended
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", CODES)
def test_the_first_signal_lets_the_jobs_save_and_the_second_does_not(number: signal.Signals, tmp_path: Path) -> None:
    with _stopping(tmp_path, "joblib") as stop:
        signal.raise_signal(number)
        assert (tmp_path / STOP).is_file() and stop.code == CODES[number]
        signal.raise_signal(number)
        raise AssertionError("the second was not heeded")
    assert stop.code == CODES[number] and not (tmp_path / STOP).exists()
