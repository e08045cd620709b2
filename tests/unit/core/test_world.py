"""What processes tell each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.core.world import ALONE, NAMES, World, join
from tests.support.processes import together


def told(world: World):
    whole = torch.arange(3.0, dtype=torch.float64) + world.rank
    half = torch.full((2,), 0.5 + world.rank, dtype=torch.bfloat16)
    world.barrier()
    return {
        "who": [world.rank, world.size, world.local_rank, world.first],
        "whole": world.sum_(whole).tolist(),
        "same": whole[0].item(),
        "half": world.sum_(half).tolist(),
        "sums": world.sums(np.array([[0.1 * world.rank, 1.0]])).tolist(),
        "everyones": world.everyones({"häh": "x" * 10 * world.rank, "rank": world.rank}),
        "first": world.from_first(["rank", world.rank]),
    }


def test_two_processes_hear_the_same():
    found = together(2, told)
    assert [answer.pop("who") for answer in found] == [[0, 2, 0, True], [1, 2, 1, False]]
    assert found[0] == found[1]
    assert found[0]["whole"] == [1.0, 3.0, 5.0] and found[0]["same"] == 1.0
    assert found[0]["half"] == [2.0, 2.0]
    assert found[0]["sums"] == [[0.1, 2.0]]
    assert found[0]["everyones"] == [{"häh": "", "rank": 0}, {"häh": "x" * 10, "rank": 1}]
    assert found[0]["first"] == ["rank", 0]


def test_a_process_that_fails_is_heard():
    with pytest.raises(AssertionError, match="rank 1: (.|\n)*ValueError: mine"):
        together(2, fails)


def fails(world: World):
    if world.rank == 1:
        raise ValueError("mine")
    world.barrier()


def test_alone_everything_is_what_it_was(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    tensor, values = torch.ones(2), np.ones(2)
    assert join(1.0) is ALONE and ALONE.first
    assert ALONE.sum_(tensor) is tensor and ALONE.sums(values) is values
    assert ALONE.everyones("a") == ["a"] and ALONE.from_first("a") == "a"
    ALONE.barrier()


def test_an_environment_that_is_half_there_is_refused(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(RequestError, match="found no LOCAL_RANK, MASTER_ADDR, MASTER_PORT; start it with"):
        join(1.0)
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(RequestError, match="WORLD_SIZE in the environment must be a number >= 0, found 'two'; unset"):
        join(1.0)
