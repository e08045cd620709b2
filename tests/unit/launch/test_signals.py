from __future__ import annotations

import contextlib
import signal
import threading

import pytest

from mollm_cli.launch.signals import listening


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_where_somebody_will_look_the_first_signal_waits_and_the_second_does_not(
    number: signal.Signals, code: int
) -> None:
    with listening() as signals:
        signal.raise_signal(number)
        assert signals.received == code
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert signals.received == code


def test_where_nobody_looks_the_first_signal_ends_it() -> None:
    with listening() as signals:
        signals.heed()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert signals.received == 143


def test_one_that_came_before_is_heeded_then() -> None:
    with listening() as signals:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signals.heed()


def test_no_library_takes_a_signal_for_a_problem_of_its_own() -> None:
    with listening() as signals:
        signals.heed()
        with pytest.raises(KeyboardInterrupt), contextlib.suppress(Exception):
            signal.raise_signal(signal.SIGTERM)


def test_the_third_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    with listening() as signals:
        signal.raise_signal(signal.SIGTERM)
        for _ in range(2):
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
        assert codes == [143] and signals.received == 143


def test_the_handlers_are_put_back() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with pytest.raises(RuntimeError, match="boom"), listening():
        raise RuntimeError("boom")
    assert {number: signal.getsignal(number) for number in before} == before


def test_outside_the_main_thread_nothing_is_installed() -> None:
    before, inside = signal.getsignal(signal.SIGTERM), []

    def run() -> None:
        with listening() as signals:
            inside.extend([signals.received, signal.getsignal(signal.SIGTERM)])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert inside == [None, before]


def test_while_an_ending_is_written_down_only_the_third_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    with listening() as signals:
        signals.heed()
        signals.closing, signals.last_words = True, lambda code: code - 100
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
        assert (codes, signals.received) == ([], 143)
        for _ in range(2):  # the fourth comes while the third is answered
            signal.raise_signal(signal.SIGTERM)
        assert codes == [43, 143]


def test_what_comes_after_the_ending_can_be_interrupted_and_then_no_more() -> None:
    with listening() as signals:
        signals.heed()
        signals.closing = True
        with signals.interruptible():
            signal.raise_signal(signal.SIGTERM)
            raise AssertionError("not interrupted")
        signal.raise_signal(signal.SIGTERM)


def test_words_that_cannot_be_written_keep_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    with listening() as signals:
        signals.closing, signals.last_words = True, lambda code: 1 // 0
        with pytest.raises(ZeroDivisionError):  # had os._exit been the real one, nobody would see it
            for _ in range(3):
                signal.raise_signal(signal.SIGHUP)
    assert codes == [129]


def test_a_run_that_was_started_with_nohup_hears_no_hangup(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening() as signals:
            signals.heed()
            signal.raise_signal(signal.SIGHUP)
            assert signals.received is None
    finally:
        signal.signal(signal.SIGHUP, before)
