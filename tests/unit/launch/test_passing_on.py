"""What the process that starts others hears, they hear."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.core.endings import CODES
from mollm_cli.core.errors import RunError
from mollm_cli.launch import run_spec, spawner
from mollm_cli.launch.door import take_part


@pytest.mark.parametrize("number", CODES)
def test_a_signal_goes_on_and_the_third_kills(number: signal.Signals) -> None:
    sent: list[int] = []
    with spawner._passing_on([SimpleNamespace(send_signal=sent.append)]):  # type: ignore[list-item]
        for _ in range(3):
            signal.raise_signal(number)
    assert sent == [number, number, signal.SIGKILL]


def test_under_nohup_a_hangup_goes_nowhere() -> None:
    sent: list[int] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with spawner._passing_on([SimpleNamespace(send_signal=sent.append)]):  # type: ignore[list-item]
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert sent == []


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (MemoryError(), 1, "the system must give the process what it needs, found 'Cannot allocate memory'"),
        (RunError("no room"), 1, "no room"),
        (SystemExit(0), 1, "SystemExit: 0"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_however_a_rank_ends_the_others_are_told(
    error: BaseException, code: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Any] = []

    def fails(*_: Any) -> int:
        raise error

    monkeypatch.setattr(run_spec, "request", fails)
    peers: Any = SimpleNamespace(world=SimpleNamespace(size=2), tell=lambda *how: said.append(how))
    assert take_part(run_spec.RunSpec("unlearn", {}, "run", None, ["mollm-unlearn"]), peers).code == code
    ((status, its, words),) = said
    assert (status, its) == ("failed", code) and words.startswith(told)
