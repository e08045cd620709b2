from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mollm_cli.reporting.comparison.page import front_chart, html
from mollm_cli.reporting.comparison.run_rows import RunRow, collect
from mollm_cli.reporting.comparison.table import compare

MakeRows = Callable[..., list[RunRow]]
RETAIN, FORGET = "metrics/after/retain_probability", "metrics/after/forget_probability"
VOID = {"meta", "line", "circle", "path", "br"}


class _Balance(HTMLParser):
    """Every tag that opens closes; keeps the tags it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def test_the_page_holds_every_group_run_and_note(sweep: Path) -> None:
    comparison = compare(collect(sweep))
    text = html(comparison)
    parser = _Balance()
    parser.feed(text)
    assert parser.open == [] and not {"script", "link", "img", "iframe"} & parser.seen
    assert not re.search(r"https?:|//[a-z]|url\(|@import", text)
    assert "5 runs in 2 groups" in text and "4 completed, 1 failed." in text
    for row in comparison.body:
        assert all(cell in text for cell in row)
    assert all(f"<li>{note}</li>" in text for note in comparison.notes)
    assert text.count('<tr class="out">') == 1 and text.count('class="pill good"') == 4


def test_whatever_files_say_is_escaped(make_rows: MakeRows) -> None:
    evil = "<img src=x onerror=alert(1)>"
    failed = {
        "manifest/loss": evil,
        "manifest/error": evil,
        "manifest/status": evil,
        "metrics/verdict": {"forget": evil},
    }
    text = html(
        compare(make_rows(failed, {"metrics/verdict": {"forget": evil}, f"metrics/after/{evil}": 1.0}), every=True)
    )
    assert "<img" not in text and "&lt;img" in text


def test_the_chart_has_a_dot_a_run_a_letter_a_group_and_stairs_along_the_front(make_rows: MakeRows) -> None:
    rows = make_rows(
        {FORGET: 0.204, RETAIN: 0.9},
        {FORGET: 0.404, RETAIN: 0.8},  # A: distances .1 and .3, mean (.2, .85)
        {FORGET: 0.504, RETAIN: 0.95, "manifest/loss": "ga"},  # B: (.4, .95)
        {FORGET: 0.604, RETAIN: 0.90, "manifest/loss": "ga_kl"},  # C is behind B
        {
            FORGET: 0.104,
            RETAIN: 0.99,
            "manifest/loss": "other",
            "manifest/datasets/forget/sha256": "x",
        },  # D: other data
        {FORGET: 0.104, RETAIN: 0.99, "manifest/loss": "ga", "manifest/status": "failed"},
    )
    chart = front_chart(compare(rows))
    assert chart is not None
    front, a, *others = chart.series
    assert [pytest.approx(xy) for xy in front.points] == [(0.2, 0.85), (0.4, 0.85), (0.4, 0.95)]
    assert [pytest.approx(xy) for xy in a.points if xy[1] is not None] == [(0.1, 0.9), (0.3, 0.8)]
    assert [series.name for series in others] == ["B", "C", "D"] and len(others[0].points) == 2
    assert [mark.label for mark in chart.marks] == ["A ★", "B ★", "C", "D"]
    assert [mark.hollow for mark in chart.marks] == [False, False, False, True]
    assert "distance" in chart.x_label


def test_without_yardsticks_the_axis_is_the_probability(make_rows: MakeRows) -> None:
    chart = front_chart(compare(make_rows({"metrics/oracle": None, "metrics/yardstick": "none"})))
    assert chart is not None
    assert chart.x_label == "forget probability" and chart.marks[0].x == pytest.approx(0.104)


@pytest.mark.parametrize("other", [0.3, 0.30000000000000004])
def test_runs_at_one_place_have_a_chart(other: float, make_rows: MakeRows) -> None:
    """As in a sweep over a key that changes nothing: they are equal, or but for rounding."""
    rows = make_rows(*({FORGET: forget, RETAIN: forget} for forget in (0.3, other)))
    chart = front_chart(compare(rows))
    assert chart is not None and chart.x_range == pytest.approx((chart.marks[0].x - 0.05, chart.marks[0].x + 0.05))
    assert "<svg" in html(compare(rows))


def test_without_a_finished_run_there_is_no_chart_and_still_a_page(make_rows: MakeRows) -> None:
    comparison = compare(make_rows({"manifest/status": "interrupted", "metrics/after": {}}))
    assert front_chart(comparison) is None
    text = html(comparison)
    assert "<svg" not in text and "there is no Pareto front to draw" in text and "1 run in 1 group<" in text
