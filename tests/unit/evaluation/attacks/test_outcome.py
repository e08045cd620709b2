"""An attack's entry: from which model its yardstick and its start come, and what it says without one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.evaluation.attacks.outcome import outcome
from mollm_cli.evaluation.measuring import Evaluation


def entry(kind: str, **moments: dict[str, float | None]) -> dict[str, Any]:
    attack: Any = SimpleNamespace(name="it", kind=kind, what="w", cost="c", headline="p")
    return outcome(attack, found(**moments), margin=0.1)


def found(**moments: dict[str, float | None]) -> dict[str, Evaluation]:
    return {moment: Evaluation(values, {}, {}) for moment, values in moments.items()}


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
    got = entry(kind, before=BEFORE, after=AFTER)
    assert (got["headline"], got["yardstick"], got["before"]) == ("attack_it_p", yardstick, start)
    assert got["verdict"] == verdict


@pytest.mark.parametrize("kind", ["rewrite", "weights", "comparison"])
def test_an_oracle_is_the_yardstick_whatever_is_attacked(kind: str) -> None:
    got = entry(kind, before=BEFORE, after=AFTER, oracle=ORACLE)
    assert (got["yardstick"], got["verdict"]) == (0.3, "held")
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
    got = entry(kind, after=AFTER | {"attack_it_p": attacked}, oracle=ORACLE)
    assert (got["before"], got["verdict"]) == (None, verdict)


def test_the_start_of_a_finished_model_is_the_model_that_was_named_for_it() -> None:
    got = entry("rewrite", start=BEFORE, after=AFTER, oracle=ORACLE)
    assert (got["before"], got["verdict"]) == (0.9, "held")
    beside = entry("rewrite", start=BEFORE, before=BEFORE | {"attack_it_p": 0.31}, after=AFTER, oracle=ORACLE)
    assert (beside["before"], beside["verdict"]) == (0.31, "unknown")  # it gets nothing out of the starting model


@pytest.mark.parametrize(("value", "verdict"), [(0.4, "unknown"), (0.5, "recovered")])
@pytest.mark.parametrize("moment", ["before", "after", "oracle"])
def test_an_attack_that_left_rows_without_a_value_did_not_hold(moment: str, value: float, verdict: str) -> None:
    attack: Any = SimpleNamespace(name="it", kind="rewrite", what="w", cost="c", headline="p")
    models = found(before=BEFORE, after=AFTER | {"attack_it_p": value}, oracle=ORACLE)
    models[moment].rows["attack_it_p"] = (1, 4)
    assert outcome(attack, models, margin=0.1)["verdict"] == verdict
    models[moment].rows["attack_it_p"] = (4, 4)
    assert outcome(attack, models, margin=0.1)["verdict"] in ("held", "recovered")
