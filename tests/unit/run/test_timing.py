"""How long a piece of work takes."""

from __future__ import annotations

import torch

from mollm_cli.run import timing


def test_seconds_are_those_between_two_looks_at_the_clock(monkeypatch):
    clock, done = iter([100.0, 102.5]), []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    assert timing._seconds(done.append, 7, torch.device("cpu")) == 2.5
    assert done == [7]
