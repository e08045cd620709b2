import pytest

from mollm_cli.reporting.trajectory import (
    ProgressPoint,
    curve,
    evaluations,
    keys_under,
    retain_at_matched_forgetting,
    statuses,
)

PATH = (
    ProgressPoint(0, 0.9, 1.0),
    ProgressPoint(5, 0.5, 0.9),
    ProgressPoint(10, 0.1, 0.5),
    ProgressPoint(15, 0.3, 0.7),
)


@pytest.mark.parametrize(
    ("target", "retain"),
    [
        (0.5, 0.9),  # on an evaluation
        (0.2, 0.6),  # 3/4 of the way from 0.5 to 0.1: 0.9 - 0.75 * 0.4
        (0.05, None),  # never reached
        (0.95, 1.0),  # matched before the first step
        (None, None),
    ],
)
def test_retain_at_matched_forgetting_is_linear_between_two_evaluations(
    target: float | None, retain: float | None
) -> None:
    assert retain_at_matched_forgetting(PATH, target) == pytest.approx(retain)


def test_the_first_crossing_counts_not_the_last() -> None:
    back = (
        ProgressPoint(0, 0.9, 1.0),
        ProgressPoint(1, 0.1, 0.8),
        ProgressPoint(2, 0.9, 0.6),
        ProgressPoint(3, 0.1, 0.2),
    )
    assert retain_at_matched_forgetting(back, 0.1) == pytest.approx(0.8)


def test_no_path_no_match() -> None:
    assert retain_at_matched_forgetting((), 0.1) is None


def test_evaluations_need_both_sides() -> None:
    steps = [
        {"step": 0, "evaluation.forget_probability": 0.9, "evaluation.retain_probability": 0.8},
        {"step": 1, "evaluation.forget_probability": 0.9},
        {"step": 2, "evaluation.forget_probability": float("nan"), "evaluation.retain_probability": 0.8},
    ]
    assert evaluations(steps) == (ProgressPoint(0, 0.9, 0.8),)


def test_a_curve_breaks_where_a_value_is_not_finite() -> None:
    steps = [{"step": 1, "loss.a": 2.0}, {"step": 2}, {"step": 3, "loss.a": float("inf")}]
    assert curve(steps, "loss.a") == ((1.0, 2.0), (3.0, None))
    assert keys_under([{"cosine.b.a": 1, "x": 2}, {"cosine.a.b": 0}], "cosine.") == ("cosine.b.a", "cosine.a.b")


def test_statuses_are_counted_over_the_steps_that_have_one() -> None:
    steps = [{"step": 0}, {"step": 1, "status": "b"}, {"step": 2, "status": "a"}, {"step": 3, "status": "a"}]
    assert statuses(steps) == [("a", 2, pytest.approx(2 / 3)), ("b", 1, pytest.approx(1 / 3))]
