"""Which metric is measured on which set, and what the result is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from mollm_cli.core.types import ROLES, Example, Metric

FORGET_SIDE = frozenset({"forget", "forget_test", "holdout"})
"""Sets of the forget set's kind: what counts on them is the distance to a model that never saw the forget set."""

NEEDS = frozenset({"prompt", "generation", "text", "perturbed", "forget_side", "retain_side", "oracle"})
"""The words of ``Metric.needs``; mollm_cli/metrics/__init__.py says what they mean."""

Plan = dict[str, tuple[str, Metric]]
"""Flat name -> (set, metric), in the order of sets and metrics."""


def plan(metrics: Iterable[Metric], sets: Mapping[str, Sequence[Example]], oracle: bool) -> Plan:
    """Every measurement that fits, by its flat name; ``oracle``: whether there will be an oracle's scores."""
    metrics = list(metrics)
    return {
        flat_name(name, metric.name): (name, metric)
        for name, examples in sets.items()
        for metric in metrics
        if examples and fits(metric, name, examples, oracle)
    }


def flat_name(set_name: str, metric_name: str) -> str:
    """``forget`` and ``probability`` make ``forget_probability``; ``forget_quality`` on ``forget`` keeps its name."""
    return metric_name if metric_name.startswith(f"{set_name}_") else f"{set_name}_{metric_name}"


def fits(metric: Metric, set_name: str, examples: Sequence[Example], oracle: bool) -> bool:
    """Whether a set offers all that is in ``metric.needs``.

    A plain-text set that plays no role (wikitext) is read by text metrics only.
    """
    questions = any(example.prompt for example in examples)
    offered = {
        "prompt": questions,
        "generation": questions,
        "text": not questions,
        "perturbed": any(example.perturbed_answers for example in examples),
        "forget_side": set_name in FORGET_SIDE,
        "retain_side": set_name not in FORGET_SIDE,
        "oracle": oracle and set_name == "forget",
    }
    if not questions and set_name not in ROLES and "text" not in metric.needs:
        return False
    return all(offered[need] for need in metric.needs)


def better(metric: Metric, set_name: str) -> Literal["higher", "lower", "toward_yardstick"]:
    """Which way is better on this set: on the forget side toward the yardstick, not down.

    A metric that reads the oracle is a distance from the yardstick already and keeps its own way.
    """
    return "toward_yardstick" if set_name in FORGET_SIDE and "oracle" not in metric.needs else metric.better
