"""Which evaluation is kept: the rules by hand, and their state in a resume point."""

from __future__ import annotations

import itertools
import json
import math

import pytest

from mollm_cli.engine.selection import History, Look, Selection

Pairs = list[tuple[float | None, float | None]]


def _history(selection: Selection, looks: Pairs) -> tuple[History, list[int]]:
    """The history of (forget, retain) after steps 0, 1, ..., and the steps that were the best when they came."""
    history, better = History(selection), []
    for step, (forget, retain) in enumerate(looks):
        values = {"forget_probability": forget, "retain_probability": retain}
        if history.add(step, {name: value for name, value in values.items() if value is not None}):
            better.append(step)
    return history, better


TARGET = Selection("target", 0.5)
YARDSTICK = Selection("yardstick", 0.5, "the oracle's")


@pytest.mark.parametrize(
    ("selection", "looks", "better"),
    [
        (TARGET, [(0.9, 0.9), (0.7, 0.1), (0.8, 0.9)], [0, 1]),  # not reached: the lowest forget
        (TARGET, [(0.9, 0.9), (0.5, 0.7), (0.4, 0.6), (0.5, 0.8)], [0, 1, 3]),  # reached (<=): the best retain
        (TARGET, [(0.5, 0.7), (0.1, 0.7)], [0]),  # as good comes too late
        (TARGET, [(0.4, 0.2), (0.51, 0.9)], [0]),  # what has not reached it never replaces what has
        (TARGET, [(0.9, None), (0.4, None), (0.3, None)], [0, 1]),  # no retain rows: the first to reach it
        (TARGET, [(0.4, 0.2), (0.3, None)], [0]),  # not measured is not better
        (TARGET, [(None, 0.9)], []),
        (TARGET, [(math.nan, 0.9), (0.9, 0.9)], [1]),
        (YARDSTICK, [(0.9, 0.9), (0.625, 0.7), (0.25, 0.9), (0.375, 0.8)], [0, 1, 3]),  # .125 each: the better retain
        (YARDSTICK, [(0.5, 0.7), (0.5, 0.6)], [0]),
        (Selection(), [(0.9, 0.9), (0.1, 0.9)], []),
        (Selection("target", 0.5, floor=0.5), [(0.9, 0.8), (0.4, 0.39), (0.45, 0.4)], [0, 2]),  # the floor is at 0.4
        (Selection("yardstick", 0.5, floor=0.5), [(0.9, 0.8), (0.5, 0.39)], [0]),
    ],
)
def test_what_is_better(selection: Selection, looks: Pairs, better: list[int]) -> None:
    assert _history(selection, looks)[1] == better


def test_the_order_does_not_matter_but_for_ties() -> None:
    looks: Pairs = [(0.9, 0.9), (0.5, 0.7), (0.4, 0.8), (0.2, 0.75)]
    for selection, best in ((TARGET, (0.4, 0.8)), (YARDSTICK, (0.5, 0.7))):
        for order in itertools.permutations(looks):
            found = _history(selection, list(order))[0].best
            assert found is not None and (found.forget, found.retain) == best


@pytest.mark.parametrize(
    ("selection", "looks", "step", "because"),
    [
        (TARGET, [(0.9, 0.9), (0.4, 0.8), (0.3, 0.7)], 1, "the highest retain probability among the evaluations at or "
         "below the forget target 0.5"),
        (TARGET, [(0.9, 0.9), (0.8, 0.8)], 1, "no evaluation reached the forget target 0.5: the lowest forget "
         "probability"),
        (YARDSTICK, [(0.9, 0.9), (0.4, 0.8), (0.2, 0.8)], 1, "the forget probability nearest to the oracle's, 0.5"),
        (Selection("yardstick", 0.5), [(0.9, 0.9)], 0, "the forget probability nearest to the forget target, 0.5"),
        (Selection(), [(0.9, 0.9), (0.4, 0.8), (0.2, 0.8)], 2, "the weights after the last step"),
        (TARGET, [(None, 0.9)], 0, "no evaluation could be kept: the weights after the last step"),
    ],
)  # fmt: skip
def test_what_the_manifest_is_told(selection: Selection, looks: Pairs, step: int, because: str) -> None:
    history, _ = _history(selection, looks)
    forget, retain = looks[step]
    assert history.told(len(looks) - 1) == {
        "rule": selection.keep,
        "step": step,
        "forget_probability": forget,
        "retain_probability": retain,
        "because": because,
    }


def test_the_last_step_without_an_evaluation_has_no_values() -> None:
    history, _ = _history(Selection(), [(0.9, 0.9)])
    assert history.kept(7) == Look(7) and history.kept(0) == Look(0, 0.9, 0.9)


def test_the_state_goes_through_json() -> None:
    looks: Pairs = [(0.9, 0.9), (0.4, 0.8), (0.3, 0.7)]
    history, _ = _history(TARGET, looks)
    again = History(TARGET)
    again.restore(json.loads(json.dumps(history.state())))
    assert again == history and again.since == 1
    empty = History(TARGET)
    empty.restore(json.loads(json.dumps(History().state())))
    assert empty == History(TARGET)
