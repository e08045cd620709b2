from __future__ import annotations

import re
from typing import Any

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.resume.lasting import FREE, numbers, require_same

CONFIG: dict[str, Any] = {
    "seed": 0,
    "loss": {"_target_": "a", "eps": None},
    "engine": {"max_steps": 4, "batch_size": 8, "micro_batch": None},
    "evaluation": {"metrics": {"m": {"a": 1}}, "limit": None},
    "optimizer": {"betas": [0.9, 0.99], "update": "plain"},
    "data": {"sets": {}, "cache": True},
    "names": {"loss": "a"},
}
LASTING = {
    "seed": 0,
    "loss._target_": "a",
    "loss.eps": None,
    "engine.batch_size": 8,
    "optimizer.betas": [0.9, 0.99],
    "optimizer.update": "plain",
    "data.sets": {},
}


def test_numbers_are_the_keys_that_are_not_free() -> None:
    assert numbers(CONFIG) == LASTING


@pytest.mark.parametrize("key", ["engine.max_steps", "engine.checkpoint_every", "evaluation", "tracker", "names"])
def test_what_is_free(key: str) -> None:
    assert key in FREE and numbers({key.split(".")[0]: {key.split(".")[-1]: {"x": 1}}}) == {}


def test_a_key_that_begins_like_a_free_one_is_not_free() -> None:
    assert numbers({"engine": {"max_steps_more": 1}}) == {"engine.max_steps_more": 1}


def test_the_same_passes() -> None:
    require_same(LASTING, {**LASTING, "optimizer.betas": [0.9, 0.99]})


def test_a_secret_is_not_compared() -> None:
    require_same({"hub.token": "***"}, {"hub.token": "abc"})
    require_same({"hub.token": "abc"}, {"hub.token": "***"})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 1}, "seed=1 (it was 0)"),
        ({"loss.eps": 0.5}, "loss.eps=0.5 (it was null)"),
        ({"optimizer.update": "master"}, "optimizer.update=master (it was plain)"),
        ({"optimizer.betas": [0.9, 0.9]}, "optimizer.betas=[0.9, 0.9] (it was [0.9, 0.99])"),
        ({"loss.more": True}, "loss.more=true (it was absent)"),
        ({"seed": 1, "engine.batch_size": 4}, "seed=1 (it was 0), engine.batch_size=4 (it was 8)"),
    ],
)
def test_another_value_is_told_with_both(change: dict[str, Any], told: str) -> None:
    with pytest.raises(RequestError, match=re.escape(f"depend on, found {told}; leave it out, or start a new run")):
        require_same(LASTING, LASTING | change)
    if len(change) == 1 and "loss.more" not in change:
        with pytest.raises(RequestError, match=rf"{next(iter(change))}=absent \(it was "):
            require_same(LASTING, {key: value for key, value in LASTING.items() if key not in change})
