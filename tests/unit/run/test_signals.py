from __future__ import annotations

import signal
import threading

import pytest

from mollm_cli.core.errors import InterruptionError
from mollm_cli.run.signals import listening


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_while_a_loop_steps_the_first_signal_waits_and_the_second_does_not(number: signal.Signals, code: int) -> None:
    with listening() as signals:
        signals.stepping = True
        signal.raise_signal(number)
        assert signals.received == code
        with pytest.raises(InterruptionError, match="interrupted") as raised:
            signal.raise_signal(number)
        assert raised.value.exit_code == code


def test_where_no_loop_would_look_the_first_signal_ends_it() -> None:
    with listening(), pytest.raises(InterruptionError, match="interrupted"):
        signal.raise_signal(signal.SIGTERM)


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
