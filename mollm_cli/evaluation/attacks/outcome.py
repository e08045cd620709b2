"""An attack's entry in metrics.json: its result, and the result on a model that never saw the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mollm_cli.evaluation.attacks.attack_protocol import PREFIX, Attack
from mollm_cli.evaluation.attacks.robustness_verdict import attack_verdict

if TYPE_CHECKING:
    from mollm_cli.evaluation.measuring import Evaluation


def outcome(
    attack: Attack,
    found: Mapping[str, Evaluation],
    margin: float,
    x: str | None = None,
    curves: Mapping[str, list[Any]] | None = None,
) -> dict[str, Any]:
    """The entry of ``attack``, whose results are already among the values of ``found``, by moment.

    The yardstick is the attack's result on the oracle. Without an oracle it is its result on rows that were never seen
    (holdout): from the starting model if only the question changes, from the attacked model if the weights do.
    ``before`` is its result on the starting model, which knows the rows. An attack that fails there shows nothing, and
    neither does a rewrite if there was no starting model to ask (evaluation.start), or one that left rows without a
    value: the verdict "held" is about every row.
    """
    flat, unseen = (f"{PREFIX}{attack.name}_{part}{attack.headline}" for part in ("", "holdout_"))
    aim, start = _yardstick(attack, found, flat), _start(attack, found, flat)
    verdict = attack_verdict(found["after"].values.get(flat), aim, margin, start)
    # Nobody knows whether the rewrite would have worked on a model that has the rows, or on rows without a value.
    untried = attack.kind == "rewrite" and start is None
    if verdict == "held" and (untried or not all(each.whole(n) for each in found.values() for n in (flat, unseen))):
        verdict = "unknown"
    return {
        "kind": attack.kind,
        "what": attack.what,
        "cost": attack.cost,
        "headline": flat,
        "yardstick": aim,
        "before": start,
        "verdict": verdict,
        "x": x,
        "curve": dict(curves or {}),
    }


def _yardstick(attack: Attack, found: Mapping[str, Evaluation], flat: str) -> float | None:
    if "oracle" in found:
        return found["oracle"].values.get(flat)
    unseen = f"{PREFIX}{attack.name}_holdout_{attack.headline}"
    moment = "before" if attack.kind == "rewrite" else "after"
    return found[moment].values.get(unseen) if moment in found else None


def _start(attack: Attack, found: Mapping[str, Evaluation], flat: str) -> float | None:
    """The starting model's value: under the same question, or unattacked if the attack changes weights."""
    name = flat if attack.kind == "rewrite" else f"forget_{attack.headline}"
    moment = "before" if "before" in found else "start"
    return found[moment].values.get(name) if moment in found else None
