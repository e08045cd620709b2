"""An attack's entry: from which model its yardstick and its start come, and what it says without one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.evaluation.attacks.outcome import outcome


def entry(kind: str, **moments: dict[str, float | None]) -> dict[str, Any]:
    attack: Any = SimpleNamespace(name="it", kind=kind, what="w", cost="c", headline="p")
    found: Any = {moment: SimpleNamespace(values=values) for moment, values in moments.items()}
    return outcome(attack, found, margin=0.1)


BEFORE = {"attack_it_p": 0.9, "attack_it_holdout_p": 0.2, "forget_p": 0.8}
AFTER = {"attack_it_p": 0.4, "attack_it_holdout_p": 0.35, "forget_p": 0.1}
ORACLE = {"attack_it_p": 0.3, "attack_it_holdout_p": 0.0}


@pytest.mark.parametrize(
    ("kind", "yardstick", "start", "verdict"),
    [
        ("rewrite", 0.2, 0.9, "recovered"),  # rows never seen, as the starting model answers the same question
        ("weights", 0.35, 0.8, "held"),  # rows never seen, of the attacked model; the start without the attack
        ("comparison", 0.35, 0.8, "held"),
    ],
)
def test_without_an_oracle_rows_never_seen_are_the_yardstick(kind: str, yardstick: float, start: float, verdict: str):
    found = entry(kind, before=BEFORE, after=AFTER)
    assert (found["headline"], found["yardstick"], found["before"]) == ("attack_it_p", yardstick, start)
    assert found["verdict"] == verdict


@pytest.mark.parametrize("kind", ["rewrite", "weights", "comparison"])
def test_an_oracle_is_the_yardstick_whatever_is_attacked(kind: str) -> None:
    found = entry(kind, before=BEFORE, after=AFTER, oracle=ORACLE)
    assert (found["yardstick"], found["verdict"]) == (0.3, "held")
    missing = entry(kind, before=BEFORE, after=AFTER, oracle={"attack_it_holdout_p": 0.9})
    assert (missing["yardstick"], missing["verdict"]) == (None, "unknown")


@pytest.mark.parametrize(
    ("kind", "attacked", "verdict"),
    [
        ("rewrite", 0.4, "unknown"),  # nobody knows whether this question gets anything out of anyone
        ("rewrite", 0.5, "recovered"),
        ("weights", 0.4, "held"),  # what the attacked weights give is held against the same attack on the oracle
        ("weights", 0.5, "recovered"),
    ],
)
def test_a_question_that_no_starting_model_was_asked_shows_no_forgetting(kind: str, attacked: float, verdict: str):
    found = entry(kind, after=AFTER | {"attack_it_p": attacked}, oracle=ORACLE)
    assert (found["before"], found["verdict"]) == (None, verdict)


def test_the_start_of_a_finished_model_is_the_model_that_was_named_for_it() -> None:
    found = entry("rewrite", start=BEFORE, after=AFTER, oracle=ORACLE)
    assert (found["before"], found["verdict"]) == (0.9, "held")
    beside = entry("rewrite", start=BEFORE, before=BEFORE | {"attack_it_p": 0.31}, after=AFTER, oracle=ORACLE)
    assert (beside["before"], beside["verdict"]) == (0.31, "unknown")  # it gets nothing out of the starting model
