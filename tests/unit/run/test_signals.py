from __future__ import annotations

import contextlib
import signal
import threading

import pytest

from mollm_cli.run.signals import listening


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
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
