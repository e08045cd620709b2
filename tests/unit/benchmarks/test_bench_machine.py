"""Which clock a benchmark reads."""

from __future__ import annotations

import time

import pytest
import torch

from benchmarks.machine import machine, now


@pytest.mark.parametrize(("threads", "device", "clock"), [(1, "cpu", "processor"), (2, "cpu", "wall")])
def test_one_thread_is_measured_by_what_it_works(threads, device, clock, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(time, "process_time", lambda: 1.0)
    monkeypatch.setattr(time, "perf_counter", lambda: 2.0)
    assert now(device) == {"processor": 1.0, "wall": 2.0}[clock] and machine(device)["clock"] == clock
    assert now("cuda:0") == 2.0
