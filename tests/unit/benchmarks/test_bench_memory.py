"""Peaks, profiles and ratios are what they say."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks.contender import Row
from benchmarks.memory import peak_bytes_alone, peak_on_cpu
from benchmarks.profile import operations
from benchmarks.report import merge, ratios, summary
from benchmarks.rows import ROWS
from benchmarks.workload import Workload

pytestmark = pytest.mark.slow

TINY = Workload("tiny", batch=2, tokens=12, answer=4)
BY_NAME = {row.name: row for row in ROWS}


def test_summary_by_hand():
    line = summary([1.0, 4.0, 2.0], tokens=6, flops={"executed": 30, "useful": 10, "plain": 5}, peak_flops=20.0)
    assert (line["median_seconds"], line["minimum_seconds"], line["noise"]) == (2.0, 1.0, 1.0)
    assert (line["tokens_per_second"], line["useful_share"], line["plain_share"]) == (6.0, 0.5, 0.25)


def test_ratios_by_hand_leave_out_what_was_not_measured():
    rows = [
        {"name": "a", "median_seconds": 3.0, "minimum_seconds": 2.0, "peak_memory_bytes": 10},
        {"name": "b", "median_seconds": 2.0, "minimum_seconds": 1.0, "peak_memory_bytes": 40},
        {"name": "c", "skipped": "not installed"},
    ]
    found = ratios(rows, (("a", "b"), ("a", "c"), ("a", "unknown")))
    assert found == {"a/b": 2.0, "median:a/b": 1.5, "memory:a/b": 0.25}


def test_a_part_is_put_beside_what_is_there(tmp_path):
    path = tmp_path / "new" / "speed.json"
    merge(path, "first", {"x": 1}, {"a/b": 1.0})
    merge(path, "second", [2], {"c/d": 2.0})
    merge(path, "first", {"x": 3}, {"a/b": 3.0})
    assert json.loads(path.read_text()) == {"first": {"x": 3}, "second": [2], "ratios": {"a/b": 3.0, "c/d": 2.0}}


def test_the_peak_is_the_highest_running_sum_not_the_total():
    before = torch.zeros(1000)

    def step():
        nonlocal before
        first = torch.zeros(256, 1024)
        before = None
        del first
        second = torch.zeros(512, 1024)
        return second.sum()

    assert peak_on_cpu(step) == pytest.approx(512 * 1024 * 4, rel=0.01)


def test_memory_in_a_process_of_its_own_counts_the_reference():
    contender = BY_NAME["ga_kl_copy"].build(TINY, 2)
    contender.step(TINY.batches(0))
    contender.optimizer.zero_grad(set_to_none=True)
    transient = peak_on_cpu(lambda: contender.step(TINY.batches(1)))
    assert contender.reference_bytes == sum(p.numel() * 4 for p in contender.model.parameters())
    alone = peak_bytes_alone(BY_NAME["ga_kl_copy"], TINY)
    assert alone == pytest.approx(transient + contender.reference_bytes, rel=0.02)


def test_of_a_stored_reference_the_frozen_head_counts():
    contender = BY_NAME["mollm"].build(TINY, 2)
    assert contender.reference_bytes == TINY.shape.vocabulary * TINY.shape.hidden * 4


def test_memory_that_cannot_be_measured_says_why():
    row = Row("no_such_row", "", BY_NAME["ga"].build)
    with pytest.raises(RuntimeError, match="the memory of row 'no_such_row' could not be measured"):
        peak_bytes_alone(row, TINY)


def test_the_profile_names_operations_and_leaves_a_trace(tmp_path):
    trace = tmp_path / "new" / "profile.json"
    table = operations("mollm", TINY, 1, trace)
    assert sum("aten::" in line for line in table.splitlines()) > 5
    assert any(event.get("name") == "aten::mm" for event in json.loads(trace.read_text())["traceEvents"])
