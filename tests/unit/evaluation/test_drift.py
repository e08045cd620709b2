"""Drift from the start, by hand: what lies within its bounds, what beyond, and what the verdict makes of it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mollm_cli.core.types import Example, Scored
from mollm_cli.evaluation.drift import Drift, usable
from mollm_cli.evaluation.measuring import Evaluation
from mollm_cli.evaluation.suite import Suite
from mollm_cli.evaluation.verdict import judge

SUITE = Suite(metrics={})


def verdict(drift: Drift | None, *names: str) -> tuple[str, dict[str, Any]]:
    """Of a model whose rows are as likely as they were, all of them."""
    names = names or ("retain", "retain_test")
    rows = [Scored("a", Example("a", "?", "!"), (math.log(0.3),), (True,))] * 9
    there = Evaluation({}, dict.fromkeys(names, rows), {})
    _, words, grounds = judge(there, there, None, SUITE, drift=drift)
    return words["retain"], grounds


@pytest.mark.parametrize(
    ("drift", "word"),
    [
        (None, "kept"),
        (Drift({"text": [0.01] * 9}, [True] * 20), "kept"),
        (Drift({"text": [0.06] * 9}, [True] * 20), "damaged"),  # no row less likely, and yet
        (Drift({"text": [0.01] * 9, "retain_test": [0.4] * 9}), "damaged"),
        (Drift({"text": [0.01] * 9}, [True] * 10 + [False] * 10), "damaged"),
        (Drift({"text": [0.0, 0.12] * 5}), "unknown"),  # mean .06, but not of every ten such rows
        (Drift({"text": [0.4] * 4}), "unknown"),  # four rows show nothing
        (Drift({}, [True] * 15 + [False] * 5), "unknown"),
    ],
)
def test_likely_rows_alone_are_not_kept(drift: Drift | None, word: str) -> None:
    assert verdict(drift)[0] == word


def test_drift_without_unseen_rows_is_at_best_that_of_trained_ones() -> None:
    assert verdict(Drift({"ordinary": [0.01] * 9}, [True] * 20), "retain")[0] == "kept_on_trained_rows_only"
    assert verdict(Drift({"ordinary": [0.2] * 9}, [True] * 20), "retain")[0] == "damaged"


def test_its_grounds_by_hand() -> None:
    grounds = verdict(Drift({"text": [0.0, 0.12] * 5}, [True] * 15 + [False] * 5))[1]
    text, answers = grounds["kl"]["text"], grounds["answers"]
    assert text["value"] == pytest.approx(0.06) and text["bound"] == 0.05 and text["rows"] == 10
    low, high = text["interval"]
    assert low < 0.05 < high and text["rows_needed"] == math.ceil(10 * ((0.06 - low) / 0.01) ** 2)
    assert answers["value"] == 0.75 and answers["bound"] == 0.8 and answers["rows_needed"] > 20
    assert verdict(Drift(left_out="no chat template"))[1]["answers"] == {"left_out": "no chat template"}


def test_answers_that_cannot_be_compared_are_left_out() -> None:
    assert usable([True, None, False, True, True, True]) == [True, False, True, True, True]
    assert usable([True, None, False, True, True]) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kept_kl": 0.0}, "evaluation.kept_kl must be > 0 nats per token, found 0.0"),
        ({"kept_answers": 1.1}, r"evaluation.kept_answers must be in \(0, 1\], found 1.1"),
        ({"kept_rows": -1}, "evaluation.kept_rows must be >= 0, found -1"),
    ],
)
def test_bounds_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Suite(metrics={}, **changes)
