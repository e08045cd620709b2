import math
from xml.etree import ElementTree

import pytest

from mollm_cli.reporting.pages import page
from mollm_cli.reporting.plots import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Chart,
    Mark,
    Series,
    describe,
    layout,
    thin,
    tick,
)


def chart(*points: tuple[float, float | None], **options: object) -> Chart:
    return Chart("title", "step", (Series("a", points),), **options)  # type: ignore[arg-type]


def svg(drawn: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(page("chart.svg.j2", {"drawing": layout(drawn)}))


def test_the_corners_of_the_data_are_the_corners_of_the_frame() -> None:
    drawing = layout(chart((0, 0.0), (10, 1.0)))
    assert drawing.lines[0].d == f"M{LEFT},{HEIGHT - BOTTOM} L{WIDTH - RIGHT},{TOP}"


def test_ticks_are_round_and_hold_the_data() -> None:
    frame = layout(chart((0, 0.013), (60, 0.029))).frame
    assert frame.y_ticks == (0.01, 0.015, 0.02, 0.025, 0.03)
    assert [tick(t, frame.y_ticks) for t in frame.y_ticks] == ["0.010", "0.015", "0.020", "0.025", "0.030"]
    assert frame.x_ticks == (0, 20, 40, 60)


@pytest.mark.parametrize(
    "values",
    [(0.0, 0.0), (5.0, 5.0), (-3.0, -3.0), (1e-9, 2e-9), (-1e8, 1e12), (1e-13, 3e-13), (0.0, 1e-200), (0.0, 5e-324)],
)
def test_any_range_can_be_drawn(values: tuple[float, float]) -> None:
    for points in ([(1, value) for value in values], [(value, 1.0) for value in values], [values]):
        drawing = layout(chart(*points))
        assert all(LEFT <= drawing.frame.x(x) <= WIDTH - RIGHT for x, _ in points)
        assert all(TOP <= drawing.frame.y(y) <= HEIGHT - BOTTOM for _, y in points)
        assert svg(drawing.chart).tag == "svg"


def test_ticks_of_small_numbers_are_told_apart() -> None:
    frame = layout(chart((0, 1e-14), (1, 3e-14))).frame
    assert frame.y_ticks == pytest.approx((1e-14, 1.5e-14, 2e-14, 2.5e-14, 3e-14), rel=1e-3, abs=0)


def test_a_gap_breaks_the_line_and_a_lonely_point_is_a_dot() -> None:
    line = layout(chart((0, 0.0), (1, 1.0), (2, None), (3, 1.0))).lines[0]
    assert line.d.count("M") == 1
    assert len(line.dots) == 1


def test_an_empty_chart_says_so() -> None:
    assert chart().empty
    assert chart((0, None)).empty
    assert not chart((0, 0.0)).empty


def test_thinning_keeps_extremes_order_and_gaps() -> None:
    points = [(float(i), math.sin(i / 50)) for i in range(5000)]
    points[1234], points[2000] = (1234.0, 9.0), (2000.0, None)  # type: ignore[assignment]
    kept = thin(points)
    assert len(kept) <= 310
    assert (1234.0, 9.0) in kept
    assert (2000.0, None) in kept
    assert [x for x, _ in kept] == sorted(x for x, _ in kept)


def test_labels_of_points_that_coincide_do_not_cover_each_other() -> None:
    marks = (Mark("start", 0.98, 0.98), Mark("end", 0.1, 0.97), Mark("oracle", 0.1, 0.97, hollow=True))
    drawing = layout(chart((0.98, 0.98), (0.1, 0.97), marks=marks, x_range=(0.0, 1.0), y_range=(0.0, 1.0)))
    places = [(m.label_x, m.label_y) for m in drawing.marks]
    assert abs(places[1][1] - places[2][1]) >= 12
    assert all(0 < y < HEIGHT - BOTTOM for _, y in places)


def test_text_from_data_is_escaped() -> None:
    drawn = Chart("<b>", "step", (Series("<script>", ((0, 0.0), (1, 1.0))),), marks=(Mark("<i>", 0.5, 0.5),))
    root = svg(drawn)
    assert root.find("b") is None
    assert [text.text for text in root.iter("text")][-1] == "<i>"
    assert root.get("aria-label") == "<b>: <script> from 0 to 1.00; <i> at 0.500, 0.500"
    assert describe(drawn) == root.get("aria-label")
