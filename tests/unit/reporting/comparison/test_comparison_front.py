from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mollm_cli.reporting.comparison.front import Point, distance, has_yardstick, mean_point, on_front, point
from mollm_cli.reporting.comparison.groups import groups
from mollm_cli.reporting.comparison.run_rows import RunRow

MakeRows = Callable[..., list[RunRow]]
TENTHS = st.integers(0, 10).map(lambda tenth: tenth / 10)
FORGET = "metrics/after/forget_probability"


def test_the_front_by_hand() -> None:
    a, b, c, d = Point(0.1, 0.5), Point(0.3, 0.9), Point(0.3, 0.8), Point(0.4, 0.9)
    assert on_front([a, b, c, d]) == [True, True, False, False]  # b keeps more than c, and forgets more than d
    assert on_front([a, None, a]) == [True, False, True]  # neither of two equal ones is better
    assert on_front([None]) == [False] and on_front([]) == []


@given(st.lists(st.builds(Point, TENTHS, TENTHS), min_size=1, max_size=12))
def test_the_front_is_what_no_corner_covers(points: list[Point]) -> None:
    """Twin by sorting: going right, a point is on the front when it keeps more than everything before it."""
    front, most = set(), -1.0
    for x in sorted({p.forget for p in points}):
        best = max(p.retain for p in points if p.forget == x)
        if best > most:
            front.add((x, best))
            most = best
    assert on_front(points) == [(p.forget, p.retain) in front for p in points]


def test_forgetting_too_much_is_as_far_as_forgetting_too_little(make_rows: MakeRows) -> None:
    rows = make_rows({FORGET: 0.054}, {FORGET: 0.154})
    assert [distance(row) for row in rows] == [pytest.approx(0.05)] * 2  # the oracle's is 0.104
    (group,) = groups(rows)
    place = mean_point(group, to_yardstick=True)
    assert place is not None and place.forget == pytest.approx(0.05)  # not 0, the distance of the mean
    raw = mean_point(group, to_yardstick=False)
    assert raw is not None and (raw.forget, raw.retain) == (pytest.approx(0.104), pytest.approx(0.974))


def test_without_a_yardstick_for_each_the_probability_itself_counts(make_rows: MakeRows) -> None:
    none = {"metrics/oracle": None, "metrics/yardstick": "none"}
    assert not has_yardstick(make_rows({}, none))
    assert has_yardstick(make_rows({}, none | {"manifest/status": "failed"}))
    assert not has_yardstick(make_rows({"manifest/status": "failed"}, {"manifest/status": "failed"}))


def test_the_yardstick_may_be_the_start_on_holdout_rows(make_rows: MakeRows) -> None:
    held = {"metrics/oracle": None, "metrics/yardstick": "holdout", "metrics/before/holdout_probability": 0.2}
    (row,) = make_rows(held)
    assert distance(row) == pytest.approx(0.096)
    assert point(row, to_yardstick=True) == Point(pytest.approx(0.096), 0.974)


def test_what_was_not_measured_has_no_place(make_rows: MakeRows) -> None:
    rows = make_rows({"metrics/after": {"retain_probability": 0.9}}, {"metrics/after": {"forget_probability": 0.1}})
    assert [point(row, False) for row in rows] == [None, None]
    assert distance(rows[0]) is None
    assert mean_point(groups(rows)[0], False) is None
