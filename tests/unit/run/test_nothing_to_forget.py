"""What the forget rows are held against before the first step, and when a run is refused for it."""

from __future__ import annotations

from typing import Any

import pytest

from mollm_cli.core.errors import NothingToForgetError
from mollm_cli.run.nothing_to_forget import OF, ForgetTarget, Standing, require_something, standing


def _forget() -> float:
    return 0.3


@pytest.mark.parametrize(
    ("target", "scored", "of", "nothing"),
    [
        (ForgetTarget(0.4, "holdout"), {}, "holdout", True),
        (ForgetTarget(0.2, "counterfactual"), {}, "counterfactual", False),
        (ForgetTarget(0.3, "said"), {}, "said", True),  # at the target
        (ForgetTarget(0.29, "said"), {}, "said", False),
        (ForgetTarget(0.1, "said"), {"before": 0.3, "oracle": 0.5}, "said", False),
        (None, {"before": 0.3, "oracle": 0.5}, "oracle", True),
        (None, {"before": 0.3, "oracle": 0.1}, "oracle", False),
    ],
)
def test_the_target_comes_before_the_oracle(
    target: ForgetTarget | None, scored: dict[str, float], of: str, nothing: bool
) -> None:
    found = standing(target, _forget, scored)
    assert found is not None and (found.of, found.nothing) == (OF[of], nothing)


@pytest.mark.parametrize("scored", [{}, {"before": 0.3}, {"oracle": 0.5}])
def test_without_target_and_oracle_nothing_is_held_against_anything(scored: dict[str, float]) -> None:
    assert standing(None, _forget, scored) is None


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
