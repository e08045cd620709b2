"""The verdict on a run: is the forget set forgotten as if never seen, and is the rest kept?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mollm_cli.evaluation.measuring import Evaluation
    from mollm_cli.evaluation.suite import Suite

Yardstick = Literal["oracle", "holdout", "counterfactual", "none"]

RESAMPLES = 1000
COVERAGE = 0.90
SEED = 0


def yardstick(before: Evaluation | None, oracle: Evaluation | None) -> tuple[Yardstick, float | None]:
    """The yardstick of the forget probability: the oracle's, else the starting model's on holdout rows, else none.

    The last before none is the starting model's on counterfactual rows, which there are where holdout rows are not.
    """
    if oracle is not None and (value := oracle.values.get("forget_probability")) is not None:
        return "oracle", value
    names: tuple[Yardstick, ...] = ("holdout", "counterfactual")
    for name in names:
        if before is not None and (value := before.values.get(f"{name}_probability")) is not None:
            return name, value
    return "none", None


def forget_verdict(
    probabilities: Sequence[float | None], target: float | None, margin: float
) -> Literal["under", "matched", "over", "unknown"]:
    """Compare the forget rows' probabilities with the yardstick's mean ``target``.

    matched: every row has a probability, and the 90 % bootstrap interval (1000 seeded resamples of the rows) of their
    mean lies within target +- margin.
    under, over: otherwise, if the mean itself is above or below the target by more than the margin.
    unknown: otherwise, and without a target or without rows.

    This is an equivalence test (Schuirmann 1987): few or scattered rows cannot pass for a match, as they do if p > .05
    of a difference test is taken for one.
    """
    import numpy as np

    values = np.array([value for value in probabilities if value is not None])
    if target is None or not len(values):
        return "unknown"
    draws = np.random.default_rng(SEED).integers(len(values), size=(RESAMPLES, len(values)))
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(values[draws].mean(axis=1), [tail, 1 - tail]) - target
    # Equivalence: the whole interval must lie within the margin, so too few rows cannot pass.
    if -margin <= low and high <= margin:
        return "matched" if len(values) == len(probabilities) else "unknown"
    difference = values.mean() - target
    if abs(difference) <= margin:
        return "unknown"
    return "under" if difference > 0 else "over"


def retain_verdict(before: float | None, after: float | None, share: float) -> Literal["kept", "damaged", "unknown"]:
    """kept: after >= share * before; unknown if either is missing."""
    if before is None or after is None:
        return "unknown"
    return "kept" if after >= share * before else "damaged"


def judge(
    before: Evaluation | None, after: Evaluation, oracle: Evaluation | None, suite: Suite
) -> tuple[Yardstick, dict[str, str]]:
    """The yardstick's name, and the verdict on forget and retain, for metrics.json."""
    name, target = yardstick(before, oracle)
    forget = after.per_example.get("forget", {}).get("probability", [])
    retain_before = None if before is None else before.values.get("retain_probability")
    retain = retain_verdict(retain_before, after.values.get("retain_probability"), suite.retain_share)
    # Of rows without a value nobody knows whether they were kept.
    whole = all(each.whole("retain_probability") for each in (before, after) if each is not None)
    return name, {
        "forget": forget_verdict(forget, target, suite.margin),
        "retain": retain if whole or retain == "damaged" else "unknown",
    }
