from collections.abc import Callable
from typing import Any

import pytest

from mollm_cli.reporting.attack_tables import AttackTable, attacks, curves, rounding_columns, roundings, under_attack
from mollm_cli.reporting.measures import measures, others

MakeMetrics = Callable[[], dict[str, Any]]


def read(metrics: dict[str, Any]) -> list[AttackTable]:
    return attacks(metrics, measures(metrics))


def test_what_got_through_comes_first(make_audit: MakeMetrics) -> None:
    assert [(row.name, row.word, row.mood) for row in read(make_audit())] == [
        ("relearning", "recovered", "bad"),
        ("quantisation_4", "recovered", "bad"),
        ("paraphrase", "held", "good"),
    ]


def test_a_value_stands_beside_what_it_is_held_against(make_audit: MakeMetrics) -> None:
    relearning = read(make_audit())[0]
    assert [(bar.label, bar.value, bar.interval) for bar in relearning.bars.bars] == [
        ("without it", 0.104, (0.071, 0.142)),
        ("under attack", 0.74, (0.66, 0.81)),
        ("oracle, attacked alike", 0.31, (0.25, 0.36)),
        ("never-seen rows, attacked alike", 0.24, None),  # of the attacked model: its weights changed
    ]


def test_where_only_the_question_changes_never_seen_rows_are_those_of_the_start(make_audit: MakeMetrics) -> None:
    metrics = make_audit()
    for moment, value in (("before", 0.28), ("after", 0.27)):
        metrics[moment]["attack_paraphrase_holdout_rouge_l"] = value
    assert read(metrics)[2].holdout == 0.28


def test_without_a_yardstick_nothing_held(make_audit: MakeMetrics) -> None:
    metrics = make_audit()
    metrics["attacks"]["paraphrase"]["yardstick"] = None
    paraphrase = next(row for row in read(metrics) if row.name == "paraphrase")
    assert (paraphrase.word, paraphrase.mood) == ("unknown", "open")


def test_a_yardstick_that_no_column_tells_is_told_as_such(make_audit: MakeMetrics) -> None:
    metrics = make_audit() | {"oracle": None}
    bars = next(row for row in read(metrics) if row.name == "paraphrase").bars.bars
    assert (bars[-1].label, bars[-1].value) == ("yardstick", 0.30)


def test_curves_over_steps_have_model_and_oracle_in_one_chart(make_audit: MakeMetrics) -> None:
    forget, retain = curves(read(make_audit()))
    assert [line.name for line in forget.series] == ["after", "oracle"]
    assert forget.series[0].points[1] == pytest.approx((2.0, 0.224))
    assert (forget.title, retain.title) == (
        "relearning: probability, forget rows",
        "relearning: probability, retain rows",
    )
    assert [line.name for line in retain.series] == ["after"]


def test_rounded_weights_are_a_table_over_bits(make_audit: MakeMetrics) -> None:
    metrics = make_audit()
    eight = metrics["attacks"]["quantisation_4"] | {"curve": {"after": [[8, {"retain_probability": 0.97}]]}}
    metrics["attacks"]["quantisation_8"] = eight
    found = roundings(read(metrics))
    assert [row.bits for row in found] == [8.0, 4.0]
    assert rounding_columns(found) == [
        ("after", "probability"),
        ("oracle", "probability"),
        ("after", "retain_probability"),
    ]
    assert found[1].values["oracle", "probability"] == 0.11


@pytest.mark.parametrize("curve", [None, {}, {"after": None}, {"after": [["x", {"probability": 1.0}]]}])
def test_a_curve_without_points_draws_nothing(make_audit: MakeMetrics, curve: Any) -> None:
    metrics = make_audit()
    metrics["attacks"]["relearning"]["curve"] = curve
    assert curves(read(metrics)) == []


def test_numbers_under_attack_stand_in_no_other_table(make_audit: MakeMetrics) -> None:
    found = measures(make_audit())
    assert len(under_attack(found)) == 5
    assert not {row.name for row in under_attack(found)} & {row.name for row in others(found)}


def test_a_run_from_before_attacks_has_none(make_metrics: MakeMetrics) -> None:
    assert read(make_metrics()) == []
