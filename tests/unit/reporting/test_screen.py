"""The line that says what is being done, on a terminal and in a file."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from mollm_cli.core.doing import advance, counted_as, doing, watched, watcher
from mollm_cli.reporting import screen as module
from mollm_cli.reporting.screen import SILENCE, Screen
from mollm_cli.reporting.trajectory import FORGET, RETAIN
from tests.support.pseudo_terminal import frames

RECORD = {FORGET: 0.9, RETAIN: 0.8, "loss.forward_kl": 0.125, "loss.unlearning_cross_entropy": 0.25, "status": "fine"}


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def _screen(terminal: bool, width: int = 80) -> tuple[Screen, Clock, io.StringIO]:
    clock, file = Clock(), io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=width, soft_wrap=not terminal, highlight=False)
    return Screen(console, clock), clock, file


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (120, f"training 7/20  {'━' * 7}{'─' * 13}  2 s/step  26 s left  forget 0.900  retain 0.800  forward KL 0.125"),
        (100, f"training 7/20  {'━' * 7}{'─' * 13}  2 s/step  26 s left  forget 0.900  retain 0.800"),
        (80, f"training 7/20  {'━' * 6}{'─' * 10}  2 s/step  26 s left  forget 0.900  retain 0.800"),
        (66, f"training 7/20  {'━' * 6}{'─' * 10}  2 s/step  26 s left  forget 0.900"),
        (50, f"training 7/20  {'━' * 5}{'─' * 9}  2 s/step  26 s left"),
        (36, "training 7/20  2 s/step  26 s left"),
    ],
)
def test_counter_pace_and_time_left_stay_and_losses_go_first(width: int, line: str) -> None:
    """The first step took 50 s: it counts for nothing in the pace."""
    screen, clock, _ = _screen(terminal=True)
    with watched(screen), doing("training", 20, unit="step"):
        clock.now += 50
        advance()
        for _ in range(6):
            clock.now += 2
            advance()
        screen.values(7, RECORD)
        assert screen.line(width) == line and len(line) <= width


def test_what_is_inside_takes_the_place_of_what_it_is_a_part_of() -> None:
    screen, clock, _ = _screen(terminal=True)
    with watched(screen), doing("training", 10, done=4, unit="step"):
        with doing("measuring", 30), counted_as(10, 40):
            advance(20)
            assert screen.line(80).startswith("measuring 5/30")
        advance()
        clock.now += 3
        assert screen.line(80).startswith("training 5/10") and "3 s" in screen.line(80)
    assert screen.line(80) == ""
    assert watcher() is not screen


def test_a_file_has_a_line_for_each_thing_and_one_when_long_nothing_was_said() -> None:
    screen, clock, file = _screen(terminal=False)
    with watched(screen), doing("measuring before", 30):
        advance(10)
        clock.now += SILENCE - 1
        advance(2)
        clock.now += 1
        advance(3)
        screen.remind()
        with doing("a part"):
            clock.now += SILENCE
            screen.remind()  # as the thread does, once a second
    with watched(screen), doing("training", 7, unit="step"):
        screen.values(1, {"loss.forward_kl": 0.5})
        screen.values(5, RECORD)
        screen.message("[bold]\x1b[31mred\nline")
    assert SILENCE + 1 < 30
    assert file.getvalue().splitlines() == [
        "measuring before ...",
        "measuring before 15/30, 4 s/row, 1:00 left",
        f"a part, {SILENCE:.0f} s",
        "training ...",
        "step 5/7: forget 0.900, retain 0.800, forward KL 0.125, unlearning cross entropy 0.250",
        "[bold]\\x1b[31mred line",
    ]


def test_a_file_is_spoken_to_while_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE", -1.0)
    monkeypatch.setattr(module, "TICK", 0.001)
    screen, _, file = _screen(terminal=False)
    with module.shown(screen=screen), doing("waiting"):
        while "waiting, 0 s" not in file.getvalue():
            pass


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (100, 30)])
def test_a_run_from_the_first_second_to_the_table(columns: int, rows: int, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "mollm_cli", "engine.max_steps=6", "evaluation.limit=4", "engine.batch_size=4"]
    seen = [shown for _, shown in frames([*line, "engine.evaluate_every=3"], tmp_path, columns, rows)]
    assert [len(max(shown, key=len)) for shown in seen if len(max(shown, key=len)) > columns] == []
    assert seen[0][0] == "mollm-unlearn: reading the request, loading libraries ..."
    whole = "\n".join("\n".join(shown) for shown in seen)
    assert "\\x1b" not in whole
    order = ("reading the rows", "loading the model", "measuring before", "training", "saving the checkpoint")
    places = [whole.index(f"\n{what}") for what in (*order, "measuring after", "computing the metrics")]
    assert places == sorted(places)
    bars = re.findall(r"^training \d/6  [━─]+  [\d.]+ s/step  \d+ s left  forget 0\.9\d+  retain 0\.9\d+", whole, re.M)
    assert bars and all(len(bar) <= columns for bar in bars)
    last = seen[-1]
    assert any(shown.startswith("forget: ") for shown in last) and f"{tmp_path}/outputs/" in "".join(last)
    assert not any(shown.startswith(("training", "measuring", "computing")) for shown in last)
