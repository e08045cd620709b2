from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Encoded
from mollm_cli.data.mixture import Share
from mollm_cli.gradients.settings import Direction
from mollm_cli.run.prepare import Prepared
from mollm_cli.run.training import Plan, finetuning_plan, forget_target, unlearning_plan


def _rows(count: int) -> list[Encoded]:
    return [Encoded(f"a:{n}", (1, 2), (1, 2)) for n in range(count)]


class _Evaluator:
    """Scores a list of rows as a tenth of its length."""

    def __init__(self) -> None:
        self.samples = {"forget": _rows(8)}

    def probability(self, rows: list[Encoded]) -> float:
        return len(rows) / 10


def _target(direction: Direction, holdout: int = 3) -> tuple[float | None, list[str], dict[str, Any]]:
    said: list[str] = []
    kept: dict[str, Any] = {}
    prepared = SimpleNamespace(encoded={"holdout": _rows(holdout)} if holdout else {})
    plan: Any = SimpleNamespace(direction=direction)
    progress, manifest = SimpleNamespace(message=said.append), SimpleNamespace(set=lambda **facts: kept.update(facts))
    return forget_target(plan, prepared, _Evaluator(), progress, manifest), said, kept  # type: ignore[arg-type]


def test_by_default_the_target_is_what_rows_never_seen_score() -> None:
    target, said, kept = _target(Direction())
    assert (target, kept) == (0.3, {"forget_target": 0.3})
    assert said == ["forget target: probability 0.3000 (forget rows now: 0.8000)"]


def test_a_target_of_the_users_own() -> None:
    assert _target(Direction(forget_target=0.2))[0] == 0.2


@pytest.mark.parametrize("holdout", [8, 9])
def test_it_is_said_before_the_first_step_that_there_is_nothing_to_forget(holdout: int) -> None:
    _, said, _ = _target(Direction(), holdout)
    assert "warning: the forget rows already score at or below the target" in said[1]


@pytest.mark.parametrize(
    ("direction", "holdout"),
    [(Direction(forget_target=None), 3), (Direction(), 0), (Direction(paper=True), 3)],
    ids=["never", "no holdout", "paper"],
)
def test_without_a_target_nothing_is_said(direction: Direction, holdout: int) -> None:
    assert _target(direction, holdout) == (None, [], {})


def _asked(train: tuple[str, ...]) -> Any:
    return SimpleNamespace(train=train, data=SimpleNamespace(name="mine"))


def test_fine_tuning_reads_all_named_rows_as_one_stream() -> None:
    forget, text = _rows(2), _rows(3)
    plan = finetuning_plan(_asked(("text", "forget")), Prepared(None, {}, {"forget": forget, "text": text}))
    assert plan.rows == {"retain": [*text, *forget]} and plan.leader == "retain"
    assert plan.shares == {"retain": [Share(3), Share(2)]}
    assert [objective.name for objective in plan.loss.objectives] == ["cross_entropy"]


def test_fine_tuning_on_rows_that_are_not_there() -> None:
    wanted = "train names 'holdout', and data 'mine' has no such rows; it has forget, retain"
    with pytest.raises(RequestError, match=wanted):
        finetuning_plan(_asked(("forget", "holdout")), SimpleNamespace(encoded={"forget": [], "retain": []}))  # type: ignore[arg-type]


def test_unlearning_reads_the_roles_of_its_loss_and_no_others() -> None:
    from mollm_cli.losses.ga import ga
    from mollm_cli.solvers.weighted_sum import WeightedSum

    request: Any = SimpleNamespace(
        loss=ga(), solver=WeightedSum(), direction=Direction(), data=SimpleNamespace(epoch="retain")
    )
    plan: Plan = unlearning_plan(request, Prepared(None, {}, {"forget": _rows(1), "retain": _rows(2)}))
    assert plan.rows == {"forget": _rows(1)} and plan.leader == "forget"
    assert dataclasses.is_dataclass(plan)


def test_what_is_mixed_into_retain_is_trained_on_as_retain() -> None:
    from mollm_cli.losses.mollm import mollm
    from mollm_cli.solvers.weighted_sum import WeightedSum

    request: Any = SimpleNamespace(
        loss=mollm(), solver=WeightedSum(), direction=Direction(), data=SimpleNamespace(epoch="retain")
    )
    encoded = {"forget": _rows(1), "retain": _rows(2), "text": _rows(5), "alpaca": _rows(3)}
    prepared = Prepared(None, {}, encoded, {"retain": 2.0, "alpaca": 0.5})
    plan = unlearning_plan(request, prepared)
    assert plan.rows == {"forget": encoded["forget"], "retain": [*encoded["retain"], *encoded["alpaca"]]}
    assert plan.leader == "retain"
    assert plan.shares == {"forget": [Share(1)], "retain": [Share(2, 2.0), Share(3, 0.5)]}
    finetuned = finetuning_plan(_asked(("forget", "retain")), prepared)
    assert finetuned.shares == {"retain": [Share(1), Share(2, 2.0), Share(3, 0.5)]}
