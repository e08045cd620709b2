"""Batches made ahead: the same ones in the same order, errors in their place, no thread left."""

from __future__ import annotations

import threading

import pytest
import torch

from mollm_cli.core.types import Encoded
from mollm_cli.core.world import World
from mollm_cli.data.batches import Stream
from mollm_cli.engine.prefetch import pinned, prefetched
from tests.support.tiny import batch

CPU = torch.device("cpu")


def stream(prefix: str) -> Stream:
    rows = [Encoded(f"{prefix}{k}", (3,) * (2 + k % 4), (-100,) + (3,) * (1 + k % 4)) for k in range(7)]
    return Stream(rows, 4, 0, 0)


class Recording:
    """Hands out the step as one batch; notes who asked, and fails where it is told to."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.asked: list[int] = []
        self.threads: set[str] = set()
        self.fails_at = fails_at
        self.shares: list[tuple[int, ...]] = []

    def batches(self, step, micro_batch, *share):
        self.shares.append(share)
        self.asked.append(step)
        self.threads.add(threading.current_thread().name)
        if step == self.fails_at:
            raise OSError(f"no rows for {step}")
        return [batch(step)]


def waiting_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("batches")]


@pytest.mark.parametrize("first", [0, 3])
def test_batches_are_those_of_the_streams_from_any_step_on(first):
    streams = {role: stream(role) for role in ("forget", "retain")}
    with prefetched(streams, 3, CPU, first, 6) as ready:
        found = list(ready)
    assert len(found) == 6 - first
    for step, batches in enumerate(found, first):
        for role in streams:
            expected = stream(role).batches(step, 3)
            assert [b.ids for b in batches[role]] == [b.ids for b in expected]
            for one, other in zip(batches[role], expected, strict=True):
                assert torch.equal(one.input_ids, other.input_ids) and torch.equal(one.labels, other.labels)


def test_one_step_ahead_in_a_thread_and_none_beyond_the_last():
    source = Recording()
    with prefetched({"forget": source}, None, CPU, 0, 3) as ready:
        assert source.asked == []
        next(ready)
        next(ready)
        assert waiting_threads()
        assert set(source.asked) <= {0, 1, 2}
        next(ready)
        assert next(ready, None) is None
    assert source.asked == [0, 1, 2]
    assert threading.current_thread().name not in source.threads


def test_an_error_comes_with_its_step_and_not_before():
    with pytest.raises(OSError, match="no rows for 1"), prefetched({"forget": Recording(1)}, None, CPU, 0, 3) as ready:
        assert next(ready)["forget"][0].ids == batch(0).ids
        next(ready)
    assert waiting_threads() == []


def test_no_thread_is_left_when_the_run_fails():
    with pytest.raises(KeyError, match="elsewhere"), prefetched({"forget": Recording()}, None, CPU, 0, 9) as ready:
        next(ready)
        raise KeyError("elsewhere")
    assert waiting_threads() == []


def test_of_two_processes_each_asks_for_its_rows():
    source = Recording()
    with prefetched({"forget": source}, None, CPU, 0, 1, World(1, 2)) as ready:
        list(ready)
    assert source.shares == [(1, 2)]


def test_nothing_is_read_where_there_is_no_step():
    source = Recording()
    with prefetched({"forget": source}, None, CPU, 2, 2) as ready:
        assert list(ready) == []
    assert source.asked == []


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_batches_are_pinned_for_cuda_only(kind, monkeypatch):
    """The copy itself is taken out: what counts is what went before it."""
    seen = []
    monkeypatch.setattr("mollm_cli.engine.prefetch.pinned", lambda b: seen.append(b) or b)
    monkeypatch.setattr(type(batch()), "to", lambda self, device: self)
    with prefetched({"forget": Recording()}, None, torch.device(kind), 0, 2) as ready:
        list(ready)
    assert len(seen) == (2 if kind == "cuda" else 0)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, found none")
def test_on_cuda_they_arrive_whole():
    assert all(x.is_pinned() for x in (pinned(batch()).input_ids, pinned(batch()).labels))
    with prefetched({"forget": stream("forget")}, None, torch.device("cuda:0"), 0, 3) as ready:
        for step, batches in enumerate(ready):
            assert batches["forget"][0].input_ids.is_cuda
            assert torch.equal(batches["forget"][0].input_ids.cpu(), stream("forget").batches(step)[0].input_ids)
