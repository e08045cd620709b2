"""A line of train.jsonl from a step that is written down by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mollm_cli.core.solution import Status
from mollm_cli.engine.record import step_record
from mollm_cli.engine.result import StepResult
from mollm_cli.gradients.descent import Descent
from mollm_cli.gradients.direction import Choice

NAMES = ["forget", "retain", "kl"]
NORMS = np.array([1.0, 2.0, 3.0])


def told(live: tuple[bool, ...] = (True, True, False), **descent: Any) -> dict[str, Any]:
    weights = np.array([0.5, 0.5, 0.0])
    choice = Choice(weights, weights, np.array(live), np.zeros(3), 1.0, Status.CONVERGED, {})
    gram = np.diag(NORMS**2)
    given: dict[str, Any] = {"raw": np.array([-1.0, 0.3, 0.6]), "realised": np.array([-0.9, 0.0, 0.5]), "norm": 0.5}
    result = StepResult(np.ones(3), weights, 1.0, 0.4, 7, Status.CONVERGED, choice, gram, Descent(**(given | descent)))
    return step_record(result, NAMES, 0.1, 1.0)


def test_raw_is_from_before_the_correction_and_realised_from_after_it() -> None:
    record = told(correction=0.2)
    assert [record[f"raw.{name}"] for name in NAMES] == [-1.0, 0.3, 0.6]
    assert [record[f"realised.{name}"] for name in NAMES] == [-0.9, 0.0, 0.5]
    assert record["correction"] == 0.2
    assert not any(key.startswith("raw.") for key in told())


def test_rising_names_live_objectives_only() -> None:
    assert told()["rising"] == []  # the KL rises and rests
    assert told(live=(True, True, True))["rising"] == ["kl"]
    assert told(realised=np.array([0.1, 0.1, 0.5]))["rising"] == ["forget", "retain"]


@pytest.mark.parametrize(("rise", "rising"), [(1.5, []), (2.0, []), (2.5, ["retain"])])
def test_what_is_known_to_an_error_rises_where_it_rose_by_more_than_twice_that(rise: float, rising: list[str]) -> None:
    """|g||Delta| = 2 x 0.5 = 1, and the error 0.125 of that."""
    record = told(realised=np.array([-1.0, rise * 0.125, 9.0]), error=0.125)
    assert (record["rising"], record["first_order_error"]) == (rising, 0.125)
    assert "first_order_error" not in told()
