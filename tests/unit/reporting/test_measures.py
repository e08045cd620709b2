from collections.abc import Callable
from typing import Any

import pytest

from mollm_cli.reporting.measures import Measure, columns, measures, of_set, others, rows_of_sets, yardstick


def measure(before: float | None, after: float | None, better: str, aim: float | None = None) -> Measure:
    return Measure("x", "x", "forget", "", better, before, after, None, aim)


@pytest.mark.parametrize(
    ("before", "after", "better", "aim", "change", "word"),
    [
        (0.5, 0.7, "higher", None, "better", "better"),
        (0.5, 0.7, "lower", None, "worse", "worse"),
        (0.98, 0.97, "higher", None, "same", "same"),
        (0.99, 0.20, "toward_yardstick", 0.10, "better", "closer"),
        (0.12, 0.00, "toward_yardstick", 0.10, "worse", "further"),  # lower, and past the yardstick
        (0.99, 0.00, "toward_yardstick", 0.10, "past", "past it"),  # nearer than before, and over-forgotten
        (0.99, 0.02, "toward_yardstick", 0.10, "better", "closer"),  # beyond by 9 % of the way: no matter
        (1.01, 14.2, "toward_yardstick", 12.8, "past", "past it"),  # upwards too
        (0.10, 0.10, "toward_yardstick", 0.10, "same", "same"),
        (0.99, 0.20, "toward_yardstick", None, "unknown", ""),
        (None, 0.20, "higher", None, "unknown", ""),
        (0.1, 0.2, "", None, "unknown", ""),
    ],
)
def test_which_way_a_value_went(
    before: float | None, after: float, better: str, aim: float | None, change: str, word: str
) -> None:
    found = measure(before, after, better, aim)
    assert (found.change, found.change_word) == (change, word)


def test_a_yardstick_inside_the_interval_was_not_passed() -> None:
    found = Measure("x", "x", "forget", "", "toward_yardstick", 0.99, 0.0, None, 0.1, intervals={"after": (0.0, 0.12)})
    assert found.change == "better"


def test_a_test_without_power_says_so_and_is_no_success(make_audit: Callable[[], dict[str, Any]]) -> None:
    quality = next(m for m in measures(make_audit()) if m.name == "forget_quality")
    assert (quality.after, quality.change, quality.change_word) == (0.62, "unknown", "")
    assert quality.note == "no power, D 0.120, n 32"


def test_intervals_and_never_seen_rows_come_with_the_values(make_audit: Callable[[], dict[str, Any]]) -> None:
    found = {m.name: m for m in measures(make_audit())}
    forget = found["forget_probability"]
    assert forget.intervals["after"] == (0.071, 0.142)
    assert (forget.holdout, forget.intervals["holdout"]) == (0.207, (0.15, 0.26))
    assert found["forget_test_probability"].holdout == 0.207
    assert found["retain_probability"].holdout is None
    assert columns([forget]) == ("before", "after", "oracle", "holdout")
    assert columns([]) == ("after",)


@pytest.mark.parametrize("broken", [[0.1], [None, 0.2], "ab", [float("nan"), 1.0]])
def test_an_interval_that_is_none_is_left_out(broken: object) -> None:
    found = measures({"after": {"x": 0.1}, "intervals": {"after": {"x": broken}, "before": None}})
    assert found[0].intervals == {}


def test_rows_come_in_reading_order_with_their_sets(make_metrics: Callable[[], dict[str, Any]]) -> None:
    found = measures(make_metrics())
    assert [m.name for m in found[:4]] == [
        "forget_probability",
        "retain_probability",
        "forget_test_probability",
        "retain_test_probability",
    ]
    assert of_set(found, "forget_test")["rouge_l"].name == "forget_test_rouge_l"
    assert [m.title for m in others(found)] == ["text · perplexity", "forget quality"]


def test_names_are_split_where_nothing_describes_them() -> None:
    found = {m.name: m for m in measures({"after": {"forget_test_rouge_l": 0.5, "retain_x": 1.0, "utility": 2.0}})}
    assert (found["forget_test_rouge_l"].set, found["forget_test_rouge_l"].metric) == ("forget_test", "rouge_l")
    assert found["forget_test_rouge_l"].better == "toward_yardstick"
    assert (found["retain_x"].set, found["utility"].set) == ("retain", "")


def test_the_yardstick_is_the_oracle_then_the_start_on_holdout() -> None:
    before = {"holdout_probability": 0.2}
    assert yardstick({"oracle": {"forget_probability": 0.1}, "before": before}, "forget_probability") == 0.1
    holdout = {"oracle": None, "yardstick": "holdout", "before": before}
    assert yardstick(holdout, "forget_probability") == 0.2
    assert yardstick(holdout, "forget_test_probability") == 0.2
    assert yardstick(holdout, "retain_probability") is None
    assert yardstick({"oracle": None, "yardstick": "none", "before": before}, "forget_probability") is None


def test_a_value_that_is_not_finite_is_no_value() -> None:
    assert measures({"after": {"text_perplexity": float("inf")}})[0].after is None


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        ({"before": [4, 4], "after": [4, 4]}, ""),
        ({"before": [1, 4], "after": [1, 4]}, "1 of 4 rows have a value"),
        ({"before": [4, 4], "after": [3, 4]}, "rows with a value: before 4 of 4, after 3 of 4"),
        ({"after": "no count"}, ""),
    ],
)
def test_a_value_of_some_rows_says_of_how_many(rows: dict[str, Any], note: str) -> None:
    metrics = {"after": {"forget_x": 0.1, "attack_a_x": 0.1}, "rows": {m: {"forget_x": n} for m, n in rows.items()}}
    found = measures(metrics)
    assert [measure.note for measure in found if measure.name == "forget_x"] == [note]
    line = "Rows: forget 4. A number is that of all rows of its set, unless it says of how many."
    assert rows_of_sets(found) == ("" if rows == {"after": "no count"} else line)
