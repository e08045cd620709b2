"""Roles that one objective reads row by row are passed in one order, in the same micro-batches."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Encoded
from mollm_cli.data.reworded import REWORDED
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.dpo import dpo
from mollm_cli.losses.ga import ga
from mollm_cli.losses.ga_mismatch_kl import ga_mismatch_kl
from mollm_cli.run.prepare import Prepared
from mollm_cli.run.training import build_stream
from mollm_cli.run.training_set import unlearning_set
from mollm_cli.solvers.weighted_sum import WeightedSum


def _rows(role: str, count: int, seed: int) -> list[Encoded]:
    lengths = random.Random(seed)
    ids = [tuple(range(1, lengths.randint(3, 30))) for _ in range(count)]
    return [Encoded(f"{role}:{n}", row, row) for n, row in enumerate(ids)]


def _asked(loss: Any, batch_size: int = 5) -> Any:
    return SimpleNamespace(
        loss=loss,
        solver=WeightedSum(),
        direction=Direction(),
        data=SimpleNamespace(epoch="forget", forget=SimpleNamespace(manners_share=0.4)),
        engine=Engine(batch_size=batch_size),
        evaluation=SimpleNamespace(oracle=None),
        seed=3,
    )


def _prepared(**counts: int) -> Any:
    encoded = {role: _rows(role, count, seed) for seed, (role, count) in enumerate(counts.items())}
    prepared: Any = SimpleNamespace(encoded=encoded, pad_id=0)
    prepared.training = lambda *roles: Prepared(None, {}, encoded).training(*roles)
    return prepared


def _passed(loss: Any, steps: int = 30, **counts: int) -> dict[str, list[list[str]]]:
    """The numbers of the rows of every micro-batch, by role."""
    prepared, asked = _prepared(**counts), _asked(loss)
    plan = unlearning_set(asked, prepared)
    streams = {role: build_stream(plan, role, asked, prepared) for role in plan.rows}
    return {
        role: [[i.partition(":")[2] for i in b.ids] for step in range(steps) for b in stream.batches(step, 2)]
        for role, stream in streams.items()
    }


def test_pairs_stay_together_whatever_their_lengths() -> None:
    passed = _passed(dpo(), forget=23, alternate=23, retain=40)
    assert passed["forget"] == passed["alternate"]
    assert {row for part in passed["forget"] for row in part} == {str(n) for n in range(23)}
    assert passed["retain"] != passed["forget"]


def test_rows_that_are_not_read_together_have_an_order_of_their_own() -> None:
    passed = _passed(ga_mismatch_kl(), forget=23, alternate=23, retain=40)
    assert passed["forget"] != passed["alternate"]
    assert len(_passed(ga_mismatch_kl(), forget=23, alternate=60, retain=40)["alternate"]) > 0


def test_pairs_need_as_many_rows_of_each() -> None:
    message = (
        r"loss=dpo reads forget, alternate row by row and needs as many of each, found 23 of forget and 22 of "
        r"alternate. Give each forget row one other answer: \+dataset@data.alternate=NAME"
    )
    with pytest.raises(RequestError, match=message):
        _passed(dpo(), forget=23, alternate=22, retain=40)


def test_rows_in_other_manners_have_their_share_of_every_step_and_are_marked() -> None:
    asked, prepared = _asked(ga()), _prepared(forget=7, reworded=9)
    stream = build_stream(unlearning_set(asked, prepared), "forget", asked, prepared)
    for step in range(5):
        (batch,) = stream.batches(step)
        assert [row.startswith(REWORDED) for row in batch.ids] == list(batch.reworded) and sum(batch.reworded) == 2
    assert stream.count == 7  # an epoch is that of the rows as they were given


@pytest.mark.parametrize(
    ("loss", "batch_size", "message"),
    [
        (
            dpo(),
            5,
            "data.forget.manners needs a loss that reads forget rows by themselves, found loss=dpo, which reads",
        ),
        (ga(), 1, "data.forget.manners needs room for both kinds of rows in a step, found engine.batch_size=1. Set"),
    ],
)
def test_rows_in_other_manners_that_have_no_place_are_refused(loss: Any, batch_size: int, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        unlearning_set(_asked(loss, batch_size), _prepared(forget=7, alternate=7, retain=5, reworded=9))
