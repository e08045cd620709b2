"""Shares, worst violation and corrections, from made-up steps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mollm_cli.reporting.descent_record import TOLERANCE, descent_record, descent_summary


def step(
    number: int, a: tuple[float, float] | None, b: tuple[float, float] | None, correction: float
) -> dict[str, Any]:
    """Changes (before, after) of two objectives with |g_a| = 2, |g_b| = 4 and |Delta| = 0.5; None: not live."""
    record: dict[str, Any] = {"step": number, "step_norm": 0.5, "correction": correction, "norm.a": 2.0, "norm.b": 4.0}
    for name, pair in (("a", a), ("b", b)):
        raw, realised = pair or (9.0, 9.0)
        record |= {f"live.{name}": pair is not None, f"raw.{name}": raw, f"realised.{name}": realised}
    return record


STEPS = [
    {"step": 0, "evaluation.forget_probability": 0.9},
    step(1, (-0.1, -0.1), (-0.2, -0.2), 0.0),
    step(2, (0.3, 0.0), (-0.2, -0.1), 0.04),
    step(3, (-0.1, -0.1), (0.2, 1e-7), 0.02),
    step(4, None, (-0.1, -0.1), 0.0),
    step(5, None, None, 0.0),
]


def test_shares_before_and_after_the_correction() -> None:
    record = descent_record(STEPS, ["a", "b"])
    assert record is not None
    assert (record.steps, record.guard) == (4, True)  # step 5 had nothing live
    assert (record.before, record.after) == (0.5, 1.0)
    assert record.corrected == 2 / 5
    assert record.largest_correction == 0.04
    a, b = record.objectives["a"], record.objectives["b"]
    assert (a.live, a.before, a.after) == (pytest.approx(3 / 5), pytest.approx(2 / 3), 1.0)
    assert (b.live, b.before, b.after) == (pytest.approx(4 / 5), 0.75, 1.0)
    assert a.worst_before == record.worst_before == pytest.approx(0.3 / (2 * 0.5))
    assert b.worst_after == record.worst_after == pytest.approx(1e-7 / (4 * 0.5))


def test_what_is_left_after_the_correction_is_told() -> None:
    record = descent_record([step(1, (0.3, 0.1), None, 0.04)], ["a", "b"])
    assert record is not None
    assert (record.before, record.after, record.worst_after) == (0.0, 0.0, pytest.approx(0.1))
    assert record.objectives["b"].before is None


def test_without_the_guard_before_is_after() -> None:
    bare = [{k: v for k, v in s.items() if not k.startswith("raw.") and k != "correction"} for s in STEPS]
    record = descent_record(bare, ["a", "b"])
    assert record is not None
    assert not record.guard
    assert (record.before, record.corrected) == (record.after, 0.0)


def test_estimates_say_how_far_they_are_to_be_trusted() -> None:
    exact, guessed = (
        descent_record([*STEPS, last], ["a", "b"]) for last in ({}, STEPS[4] | {"first_order_error": 0.02})
    )
    assert exact is not None and guessed is not None
    assert (exact.error, guessed.error) == (0.0, 0.02)


def test_a_zero_gradient_does_not_rise() -> None:
    record = descent_record([step(1, (0.0, 0.0), None, 0.0) | {"norm.a": 0.0}], ["a", "b"])
    assert record is not None
    assert record.after == 1.0


def test_a_run_without_gram_matrix_has_no_record() -> None:
    assert descent_record([{"step": 1, "loss.a": 1.0}], ["a"]) is None
    assert descent_record([], []) is None
    assert descent_summary([{"step": 1}], ["a"]) is None


def test_the_entry_of_metrics_json_says_what_it_is_and_is_not() -> None:
    summary = json.loads(json.dumps(descent_summary(STEPS, ["a", "b"])))
    assert summary["tolerance"] == TOLERANCE
    assert "first order" in summary["is"]
    assert "batch of that step" in summary["is"]
    assert "no certified unlearning" in summary["is_not"]
    assert summary["objectives"]["a"]["live"] == pytest.approx(3 / 5)
