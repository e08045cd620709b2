"""The signals that end a run end a sweep: the first lets jobs save, the second does not."""

from __future__ import annotations

import os
import signal

import pytest

from mollm_cli.core.endings import CODES
from mollm_cli.sweep.launchers import stopping
from mollm_cli.sweep.slurm_worker import _asked


@pytest.mark.parametrize("number", CODES)
def test_a_worker_of_slurms_leaves_to_its_job_what_slurm_tells_both(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with _asked(0) as asked:
        signal.raise_signal(number)
        assert asked.since == float("inf")
        assert signal.getsignal(number) not in (signal.SIG_IGN, signal.SIG_DFL)  # the first a job would inherit
    assert signal.getsignal(number) == before


def test_a_worker_of_slurms_answers_when_its_job_has_saved() -> None:
    said: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: said.append(number))
    try:
        with _asked(1000) as asked:
            asked.answer()
            os.kill(os.getpid(), signal.SIGUSR2)
            assert (said, asked.overdue) == ([], False)
            asked.answer()
            assert said == [signal.SIGUSR2]
        with _asked(0) as asked:
            os.kill(os.getpid(), signal.SIGUSR2)
            assert asked.overdue
    finally:
        signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize("number", CODES)
def test_the_first_signal_lets_the_jobs_save_and_the_second_does_not(number: signal.Signals) -> None:
    with stopping(at_once=False) as stop:
        signal.raise_signal(number)
        assert stop.code == CODES[number]
        signal.raise_signal(number)
        raise AssertionError("the second was not heeded")
    assert stop.code == CODES[number]


def test_a_signal_leaves_at_once_what_is_queued() -> None:
    with stopping(at_once=True) as stop:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("it was not heeded")
    assert stop.code == 143
