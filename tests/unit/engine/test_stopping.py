"""When a run ends, by hand."""

from __future__ import annotations

import pytest

from mollm_cli.engine.engine_settings import Engine
from mollm_cli.engine.selection import History, Selection
from mollm_cli.engine.stopping import SETTLED, Stop, StopRules, rules


def _after(limits: StopRules, *evaluations: tuple[float, float], history: History | None = None) -> Stop | None:
    history = history or History()
    for step, (forget, retain) in enumerate(evaluations):
        history.add(step, {"forget_probability": forget, "retain_probability": retain})
    return limits.after(history)


def test_collapse_is_told_before_success() -> None:
    limits = StopRules(9, Stop.MAX_STEPS, target=0.5, floor=0.75)
    start = (1.0, 0.8)  # so that the floor is at 0.6
    assert _after(limits, start, (0.1, 0.59)) is Stop.RETAIN_COLLAPSED
    assert _after(limits, start, (0.5, 0.61)) is Stop.FORGET_TARGET
    assert _after(limits, start, (0.6, 0.61)) is None
    assert _after(limits, start, (0.6, float("nan"))) is Stop.RETAIN_COLLAPSED


def test_at_its_target_a_run_that_holds_waits_for_retain_but_not_for_ever() -> None:
    limits, history = StopRules(9, Stop.MAX_STEPS, target=0.5, settled=0.9), History(target=0.5)
    start = {"forget_probability": 1.0, "retain_probability": 0.8}
    short, back = ({"forget_probability": 0.4, "retain_probability": p} for p in (0.7, 0.73))
    history.add(0, start)
    history.add(1, short)
    assert limits.after(history) is None
    assert StopRules(9, Stop.MAX_STEPS, target=0.5).after(history) is Stop.FORGET_TARGET
    history.add(2, back)
    assert limits.after(history) is Stop.FORGET_TARGET
    history.add(3, short)
    assert limits.after(history) is Stop.FORGET_TARGET  # it does not come back any more
    for step in range(4, 6):
        history.add(step, short | {"retain_probability": 0.7 + step / 1000})
        assert (limits.after(history) is None) is (step == 4)
    assert history.settling == 5 and limits.after(history) is Stop.FORGET_TARGET  # on its way back, but for too long


def test_without_evaluations_nothing_stops() -> None:
    limits = StopRules(9, Stop.MAX_STEPS, target=0.5, floor=0.75, patience=1)
    assert limits.after(History()) is None
    history = History()
    history.add(0, {})
    assert StopRules(9, Stop.MAX_STEPS, target=0.5, floor=0.75).after(history) is None


def test_patience_counts_the_evaluations_after_the_best() -> None:
    limits = StopRules(9, Stop.MAX_STEPS, patience=2)
    history = History(Selection("target", 0.5))
    looks = [(0.9, 0.9), (0.4, 0.8), (0.3, 0.8)]  # step 1 reaches the target; step 2 is no better
    assert _after(limits, *looks, history=history) is None
    history.add(3, {"forget_probability": 0.2, "retain_probability": 0.7})
    assert limits.after(history) is Stop.NO_IMPROVEMENT
    history.add(4, {"forget_probability": 0.2, "retain_probability": 0.81})
    assert limits.after(history) is None


def test_rules_of_a_run() -> None:
    assert rules(Engine(), 30, 0.2, held=True).settled == SETTLED
    assert rules(Engine(max_steps=10), 30, 0.2) == StopRules(10, Stop.MAX_STEPS, 0.2, 0.1)
    # 2 epochs of 30 rows at 8 a step: ceil(60 / 8) = 8 steps
    assert rules(Engine(max_steps=10, max_epochs=2, batch_size=8), 30, 0.2).total_steps == 8
    assert rules(Engine(max_steps=10, max_epochs=2, batch_size=8), 30, 0.2).last_word is Stop.MAX_EPOCHS
    assert rules(Engine(max_steps=10, max_epochs=9, batch_size=8), 30, 0.2).last_word is Stop.MAX_STEPS
    # as many steps by both: max_steps is what the run was given, and it reached them
    assert rules(Engine(max_steps=8, max_epochs=2, batch_size=8), 30, 0.2) == StopRules(8, Stop.MAX_STEPS, 0.2, 0.1)
    assert rules(Engine(stop_at_target=False), 30, 0.2).target is None
    assert rules(Engine(retain_floor=0.5, keep="target", patience=3), 30, None).patience == 3
    assert rules(Engine(retain_floor=0.5), 30, None).floor == 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patience": 0, "keep": "target"}, "engine.patience must be >= 1, found 0"),
        ({"patience": 3}, "engine.patience=3 waits for a better evaluation, found engine.keep=last"),
        ({"processes": 2, "parallel": "none"}, "engine.processes=2 needs a way to share the work, found"),
        ({"processes": 0}, "engine.processes must be >= 1, found 0"),
        ({"keep": "target", "evaluate_every": None}, "engine.keep=target chooses among progress evaluations, found"),
        ({"keep": "yardstick", "evaluate_every": None}, "set engine.evaluate_every=N, or engine.keep=last"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Engine(**settings)  # type: ignore[arg-type]
