"""What the forget rows are held against before the first step, and when a run is refused for it."""

from __future__ import annotations

from typing import Any

import pytest

from mollm_cli.core.errors import NothingToForgetError
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.run.nothing_to_forget import Standing, require_something, standing


def _forget() -> float:
    return 0.3


@pytest.mark.parametrize(
    ("direction", "target", "scored", "of", "nothing"),
    [
        (Direction(), 0.4, {}, "what the starting model scores on data.holdout", True),
        (Direction(), 0.2, {}, "what the starting model scores on data.holdout", False),
        (Direction(forget_target=0.3), 0.3, {}, "direction.forget_target", True),  # at the target
        (Direction(forget_target=0.29), 0.29, {}, "direction.forget_target", False),
        (Direction(forget_target=0.1), 0.1, {"before": 0.3, "oracle": 0.5}, "direction.forget_target", False),
        (Direction(forget_target=None), None, {"before": 0.3, "oracle": 0.5}, "what the oracle scores", True),
        (Direction(forget_target=None), None, {"before": 0.3, "oracle": 0.1}, "what the oracle scores", False),
        (Direction(paper=True), None, {"before": 0.3, "oracle": 0.5}, "what the oracle scores", True),
    ],
)
def test_the_target_comes_before_the_oracle(
    direction: Direction, target: float | None, scored: dict[str, float], of: str, nothing: bool
) -> None:
    found = standing(direction, target, _forget, scored)
    assert found is not None and (found.of, found.nothing) == (of, nothing)


@pytest.mark.parametrize("scored", [{}, {"before": 0.3}, {"oracle": 0.5}])
def test_without_target_and_oracle_nothing_is_held_against_anything(scored: dict[str, float]) -> None:
    assert standing(Direction(forget_target=None), None, _forget, scored) is None


def test_a_run_with_nothing_to_forget_is_refused_with_what_was_measured_unless_it_is_forced() -> None:
    said: list[str] = []
    noted: dict[str, Any] = {}
    found = Standing(0.003, 0.01, "direction.forget_target")
    with pytest.raises(
        NothingToForgetError, match="the forget rows score 0.003, at or below the target 0.01"
    ) as refused:
        require_something(found, False, said.append, noted.update)
    assert refused.value.exit_code == 2 and "set force=true" in str(refused.value) and not said
    assert noted == {
        "nothing_to_forget": {"forget_probability": 0.003, "target": 0.01, "of": "direction.forget_target"}
    }
    require_something(found, True, said.append, noted.update)
    assert said[0].startswith("warning: nothing to forget") and said[0].endswith("the run goes on all the same")
    for other in (None, Standing(0.02, 0.01, "direction.forget_target")):
        require_something(other, False, pytest.fail, pytest.fail)
