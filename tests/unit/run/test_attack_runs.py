"""The attacker's tool is the shared engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from mollm_cli.core.types import Encoded, Result
from mollm_cli.data.batches import Stream
from mollm_cli.data.mixture import Share
from mollm_cli.evaluation.attacks.attack_protocol import Finetuning
from mollm_cli.evaluation.clock import Clock
from mollm_cli.evaluation.measuring import Evaluation
from mollm_cli.run.attack_runs import Attacker, _add_robustness, finetuning
from tests.support.tiny import llama

ROWS = [Encoded(str(i), (1, 5 + i, 7, 9 + i), (-100, -100, 7, 9 + i)) for i in range(6)]


def test_finetuning_is_plain_adamw_on_the_mean_over_tokens() -> None:
    plan = Finetuning(steps=5, learning_rate=1e-3, batch_size=4, every=2)
    tampered, twin = llama(), llama()
    looked = list(finetuning(0, torch.device("cpu"), seed=3)(tampered, ROWS, plan))
    assert looked == [2, 4, 5]  # the last one too
    optimizer = torch.optim.AdamW(twin.parameters(), lr=1e-3, weight_decay=0.0)
    stream = Stream(ROWS, 4, 3, 0, shares=[Share(6, 1.0)])
    for step in range(5):
        (batch,) = stream.batches(step, None)
        optimizer.zero_grad()
        twin(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        optimizer.step()
    for ours, theirs in zip(tampered.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def _curves(after: tuple[Any, Any], oracle: tuple[Any, Any]) -> dict[str, list[Any]]:
    return {
        moment: [(x, {"probability": value}) for x, value in enumerate(pair)]
        for moment, pair in {"after": after, "oracle": oracle}.items()
    }


@pytest.mark.parametrize(
    ("after", "oracle", "expected"),
    [((0.2, 0.6), (0.2, 0.3), 0.25), ((0.2, 0.2), (0.2, 0.3), 1.0), ((0.2, None), (0.2, 0.3), None)],
)
def test_robustness_is_the_oracles_gain_over_this_models(after: Any, oracle: Any, expected: float | None) -> None:
    evaluation = Evaluation({}, {}, {})
    evaluation.add("attack_relearning_probability", Result(after[1]))
    _add_robustness({"after": evaluation}, "relearning", _curves(after, oracle))
    found = evaluation.details.get("attack_relearning_probability", {}).get("robustness")
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(("x", "details"), [("step", {"robustness": pytest.approx(0.25)}), ("bits", {}), (None, {})])
def test_robustness_is_told_where_the_curve_goes_by_steps(
    x: str | None, details: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    curves = {"judged": [0.2, 0.6], "never": [0.2, 0.3]}
    points = {of: [(n, {"probability": Result(p)}) for n, p in enumerate(curve)] for of, curve in curves.items()}
    monkeypatch.setattr(Attacker, "_tampered", lambda self, attack, description: points[description])
    attack = SimpleNamespace(name="again", kind="weights", what="", cost="", headline="probability", x=x)
    request: Any = SimpleNamespace(evaluation=SimpleNamespace(attacks={"again": attack}, margin=0.1))
    models: Any = {"after": "judged", "oracle": "never", "start": None}
    attacker = Attacker(request, cast(Any, None), torch.device("cpu"), {}, Clock(), cast(Any, None), **models)
    found = {moment: Evaluation({}, {}, {}) for moment in ("after", "oracle")}
    entry = attacker.run(found)["again"]
    assert entry["curve"]["after"] == [(0, {"probability": 0.2}), (1, {"probability": 0.6})]
    assert found["after"].values["attack_again_probability"] == 0.6
    assert found["after"].details.get("attack_again_probability", {}) == details


def test_without_an_oracle_there_is_none() -> None:
    evaluation = Evaluation({}, {}, {})
    _add_robustness({"after": evaluation}, "relearning", {"after": _curves((0.2, 0.6), (0, 0))["after"]})
    assert evaluation.details == {}
