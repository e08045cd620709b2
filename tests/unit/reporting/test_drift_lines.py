"""Drift for readers: each line with its bound, and the ground on which a model is damaged."""

from __future__ import annotations

from typing import Any

import pytest

from mollm_cli.reporting.console import plain_lines
from mollm_cli.reporting.drift_lines import drift_lines
from mollm_cli.reporting.formatting import verdict_texts
from mollm_cli.reporting.measures import measures

FAR = {"value": 0.31, "interval": [0.2, 0.4], "bound": 0.05, "rows": 32, "rows_needed": None}
OPEN = {"value": 0.06, "interval": [0.02, 0.1], "bound": 0.05, "rows": 8, "rows_needed": 128}
FEW = {"value": 0.3, "interval": [0.1, 0.5], "bound": 0.8, "rows": 20, "rows_needed": None}
FALLEN = {"ratio": 0.4, "interval": [0.3, 0.5], "bounds": [0.95, 1.053], "rows": 9, "rows_needed": None}


def found(word: str, **grounds: Any) -> dict[str, Any]:
    return {"verdict": {"retain": word}, "grounds": grounds}


def test_a_line_for_each_set_and_one_for_the_answers() -> None:
    metrics = found("damaged", kl={"my_text": FAR, "retain_test": OPEN}, answers=FEW)
    lines = [
        "KL of the start to the model on my text: 0.310 (0.200–0.400) nats per token; up to 0.050 counts as kept; "
        "32 rows",
        "KL of the start to the model on retain test: 0.060 (0.020–0.100) nats per token; up to 0.050 counts as kept; "
        "8 rows (about 128 would tell)",
        "Plain questions answered as before: 0.300 (0.100–0.500); from 0.800 counts as kept; 20 rows",
    ]
    assert drift_lines(metrics) == lines
    assert plain_lines(measures(metrics), metrics)[-4:-1] == lines
    left_out = found("kept", kl={}, answers={"left_out": "the model has no chat template"})
    assert drift_lines(left_out) == ["Plain questions are not compared: the model has no chat template"]
    assert drift_lines({}) == drift_lines(found("kept", kl=3, answers={"value": None})) == []


@pytest.mark.parametrize(
    ("word", "grounds", "told"),
    [
        ("damaged", {"kl": {"text": FAR}}, "damaged (KL on text 0.310)"),
        ("damaged", {"kl": {"text": OPEN}, "answers": FEW}, "damaged (of plain questions 0.300 answered as before)"),
        ("damaged", {"retain": {"text": FALLEN}, "kl": {"text": FAR}}, "damaged (text: 0.400 times; KL on text 0.310)"),
        ("damaged", {"retain": {"text": {"bounds": 3}}}, "damaged"),
        ("unknown", {"retain": {"text": {}}, "kl": {"text": OPEN}}, "too few rows to be sure (about 128 would do)"),
        ("kept", {"kl": {"text": FAR}}, "kept"),
    ],
)
def test_the_verdict_says_on_which_ground(word: str, grounds: dict[str, Any], told: str) -> None:
    assert verdict_texts(found(word, **grounds))["retain"].endswith(told)
