from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Encoded
from mollm_cli.data.mixture import Share
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.engine.selection import Selection
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.finetune import finetune
from mollm_cli.run.prepare import Prepared
from mollm_cli.run.training import forget_target
from mollm_cli.run.training_set import TrainingSet, finetuning_set, unlearning_set


def _rows(count: int) -> list[Encoded]:
    return [Encoded(f"a:{n}", (1, 2), (1, 2)) for n in range(count)]


class _Evaluator:
    """Scores a list of rows as a tenth of its length."""

    def __init__(self) -> None:
        self.samples = {"forget": _rows(8)}

    def probability(self, rows: list[Encoded]) -> float:
        return len(rows) / 10


def _target(direction: Direction, scored: dict[str, float] | None = None, **sets: int) -> tuple[Any, Any, list[str]]:
    """(the target, whose it is, what is said), where there are these sets."""
    said: list[str] = []
    kept: dict[str, Any] = {}
    prepared = SimpleNamespace(encoded={name: _rows(count) for name, count in sets.items()})
    plan: Any = SimpleNamespace(direction=direction)
    progress, manifest = SimpleNamespace(message=said.append), SimpleNamespace(set=lambda **facts: kept.update(facts))
    found = forget_target(plan, prepared, _Evaluator(), progress, manifest, scored or {})  # type: ignore[arg-type]
    told = (found.probability, found.of) if found else (None, None)
    assert told == (kept.get("forget_target"), kept.get("forget_target_of"))
    return *told, said


def test_by_default_the_target_is_what_rows_never_seen_score() -> None:
    probability, of, said = _target(Direction(), {"oracle": 0.2}, holdout=3, counterfactual=4)
    assert (probability, of) == (0.3, "holdout")
    assert said == [
        "forget target: probability 0.3000, what the starting model scores on data.holdout (forget rows now: 0.8000)"
    ]


def test_without_such_rows_it_is_the_oracles_and_without_one_that_of_names_that_do_not_exist() -> None:
    assert _target(Direction(), {"oracle": 0.2}, counterfactual=4)[:2] == (0.2, "oracle")
    probability, of, said = _target(Direction(), counterfactual=4)
    assert (probability, of) == (0.4, "counterfactual") and "other names and numbers" in said[0]


def test_a_target_of_the_users_own() -> None:
    said = _target(Direction(forget_target=0.2), {"oracle": 0.2}, holdout=3)
    assert said == (0.2, "said", ["forget target: probability 0.2000 (forget rows now: 0.8000)"])


@pytest.mark.parametrize(
    ("direction", "sets"),
    [(Direction(forget_target=None), {"holdout": 3}), (Direction(), {}), (Direction(paper=True), {"holdout": 3})],
    ids=["never", "nothing to measure", "paper"],
)
def test_without_a_target_nothing_is_said(direction: Direction, sets: dict[str, int]) -> None:
    assert _target(direction, **sets) == (None, None, [])


def _asked(train: tuple[str, ...], **engine: Any) -> Any:
    parts = {"loss": finetune(), "solver": None, "direction": None}
    return SimpleNamespace(train=train, data=SimpleNamespace(name="mine"), engine=Engine(**engine), **parts)


def _unlearning(loss: Any, direction: Direction | None = None, oracle: str | None = None, **engine: Any) -> Any:
    from mollm_cli.solvers.weighted_sum import WeightedSum

    return SimpleNamespace(
        loss=loss,
        solver=WeightedSum(),
        direction=direction or Direction(),
        data=SimpleNamespace(epoch="retain"),
        engine=Engine(**engine),
        evaluation=SimpleNamespace(oracle=oracle),
    )


def test_fine_tuning_reads_all_named_rows_as_one_stream() -> None:
    forget, text = _rows(2), _rows(3)
    plan = finetuning_set(_asked(("text", "forget")), Prepared(None, {}, {"forget": forget, "text": text}))
    assert plan.rows == {"retain": [*text, *forget]} and plan.leader == "retain"
    assert plan.shares == {"retain": [Share(3), Share(2)]}
    assert [objective.name for objective in plan.loss.objectives] == ["cross_entropy"]


def test_fine_tuning_on_rows_that_are_not_there() -> None:
    wanted = "train names 'holdout', and data 'mine' has no such rows; it has forget, retain"
    with pytest.raises(RequestError, match=wanted):
        finetuning_set(_asked(("forget", "holdout")), SimpleNamespace(encoded={"forget": [], "retain": []}))  # type: ignore[arg-type]


def test_unlearning_reads_the_roles_of_its_loss_and_no_others() -> None:
    from mollm_cli.losses.ga import ga

    plan: TrainingSet = unlearning_set(_unlearning(ga()), Prepared(None, {}, {"forget": _rows(1), "retain": _rows(2)}))
    assert plan.rows == {"forget": _rows(1)} and plan.leader == "forget"
    assert dataclasses.is_dataclass(plan)


def test_what_is_mixed_into_retain_is_trained_on_as_retain() -> None:
    from mollm_cli.losses.mollm import mollm

    encoded = {"forget": _rows(1), "retain": _rows(2), "text": _rows(5), "alpaca": _rows(3)}
    prepared = Prepared(None, {}, encoded, {"retain": 2.0, "alpaca": 0.5})
    plan = unlearning_set(_unlearning(mollm()), prepared)
    assert plan.rows == {"forget": encoded["forget"], "retain": [*encoded["retain"], *encoded["alpaca"]]}
    assert plan.leader == "retain"
    assert plan.shares == {"forget": [Share(1)], "retain": [Share(2, 2.0), Share(3, 0.5)]}
    finetuned = finetuning_set(_asked(("forget", "retain")), prepared)
    assert finetuned.shares == {"retain": [Share(1), Share(2, 2.0), Share(3, 0.5)]}


TARGETLESS = [Direction(forget_target=None), Direction(paper=True), Direction()]


@pytest.mark.parametrize("direction", TARGETLESS, ids=["null", "paper", "no holdout"])
def test_a_rule_without_anything_to_look_for_is_refused_before_a_model_is_loaded(direction: Direction) -> None:
    from mollm_cli.losses.ga import ga

    prepared: Any = Prepared(None, {}, {"forget": _rows(1), "retain": _rows(2)})
    with pytest.raises(RequestError, match=r"engine.keep=target needs a forget target, found none. Set direction.forg"):
        unlearning_set(_unlearning(ga(), direction, None, keep="target"), prepared)
    with pytest.raises(RequestError, match="engine.keep=yardstick needs something to be near to, found no oracle and"):
        unlearning_set(_unlearning(ga(), direction, None, keep="yardstick"), prepared)
    auto = direction.forget_target == "auto" and not direction.paper  # then the oracle's probability is the target
    found = [_unlearning(ga(), direction, "oracle", keep="target")] if auto else []
    for asked in (*found, _unlearning(ga(), direction, "oracle", keep="yardstick"), _unlearning(ga(), direction)):
        assert unlearning_set(asked, prepared).leader == "forget"


def test_a_forget_target_is_something_to_look_for() -> None:
    from mollm_cli.losses.ga import ga

    rows = {"forget": _rows(1), "retain": _rows(2)}
    for keep in ("target", "yardstick"):
        asked = _unlearning(ga(), Direction(forget_target=0.2), keep=keep)
        assert unlearning_set(asked, Prepared(None, {}, rows)).leader == "forget"
        holdout = Prepared(None, {}, rows | {"holdout": _rows(1)})
        assert unlearning_set(_unlearning(ga(), keep=keep), holdout).leader == "forget"


def test_fine_tuning_keeps_its_last_weights() -> None:
    with pytest.raises(
        RequestError, match="engine.keep must be last in mollm-finetune, which forgets nothing, found t"
    ):
        finetuning_set(_asked(("forget",), keep="target"), Prepared(None, {}, {"forget": _rows(1)}))


def test_the_yardstick_is_the_oracles_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from mollm_cli.run import training

    def never(*arguments: Any) -> Any:
        raise AssertionError("no oracle is to be loaded")

    progress: Any = SimpleNamespace(message=lambda text: None)
    monkeypatch.setattr(training, "load_model", never)
    cpu = torch.device("cpu")
    for asked in (_unlearning(None, keep="yardstick"), _unlearning(None, oracle="there", keep="target")):
        found = training.selection(asked, Prepared(None, {}, {}), 0.25, progress, cpu)
        assert found == Selection(asked.engine.keep, 0.25, floor=0.1)
