"""Whether forgetting stood up to one attack, and to all."""

from __future__ import annotations

import pytest

from mollm_cli.evaluation.attacks.robustness_verdict import attack_verdict, robustness


@pytest.mark.parametrize(
    ("value", "yardstick", "expected"),
    [
        (0.30, 0.25, "held"),
        (0.05, 0.25, "held"),
        (0.36, 0.25, "recovered"),
        (0.375, 0.25, "held"),  # the margin itself, in numbers that floats hold exactly
        (None, 0.25, "unknown"),
        (0.30, None, "unknown"),
    ],
)
def test_an_attack(value, yardstick, expected):
    margin = 0.125 if value == 0.375 else 0.1
    assert attack_verdict(value, yardstick, margin) == expected
    assert attack_verdict(value, yardstick, margin, before=0.9) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.3, "unknown"), (0.4, "recovered")])
def test_an_attack_that_gets_nothing_out_of_the_starting_model_says_nothing(value, expected):
    assert attack_verdict(value, 0.25, 0.1, before=0.35) == expected


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ({}, "untested"),
        ({"a": "held", "b": "held"}, "held"),
        ({"a": "held", "b": "unknown"}, "unknown"),
        ({"a": "recovered", "b": "unknown", "c": "recovered", "d": "held"}, "recovered: a, c"),
    ],
)
def test_all_of_them(verdicts, expected):
    assert robustness(verdicts) == expected
