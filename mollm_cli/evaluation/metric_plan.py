"""Which metric is measured on which set, and what the result is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from mollm_cli.core.types import ROLES, Example, Metric, SetsMetric

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from mollm_cli.evaluation.attacks.attack_protocol import Rewrite

FORGET_SIDE = frozenset({"forget", "forget_test", "holdout"})
"""Sets of the forget set's kind: what counts on them is the distance to a model that never saw the forget set."""

NEEDS = frozenset(
    {
        *("prompt", "text", "generation", "samples", "perturbed", "moments", "gradient_norm", "fluency", "judged"),
        *("forget_side", "retain_side", "oracle"),
    }
)
"""The words of ``Metric.needs``; mollm_cli/metrics/__init__.py says what they mean."""

Measured = Metric | SetsMetric
MetricPlan = dict[str, tuple[str, Measured]]
"""Flat name -> (set, metric), in the order of sets and metrics; "" for a metric over several sets."""


def plan(
    metrics: Iterable[Measured],
    sets: Mapping[str, Sequence[Example]],
    oracle: bool,
    rewrites: Mapping[str, Rewrite] | None = None,
) -> MetricPlan:
    """Every measurement that fits, by its flat name; ``oracle``: whether there will be an oracle's scores.

    rewrites: by the name of the set that each made, or its holdout; those get what the attack asks for, no more.
    """
    metrics, rewrites = list(metrics), rewrites or {}
    single: MetricPlan = {
        flat_name(name, metric.name): (name, metric)
        for name, examples in sets.items()
        for metric in metrics
        if examples and not across(metric) and fits(metric, name, examples, oracle, rewrite_of(name, rewrites))
    }
    several: MetricPlan = {
        metric.name: ("", metric)
        for metric in metrics
        if across(metric) and sets.get(metric.sets[0]) and (oracle or "oracle" not in metric.needs)
    }
    return single | several


def across(metric: Measured) -> TypeIs[SetsMetric]:
    """Whether a metric reads several sets at once."""
    return hasattr(metric, "compute_across")


def needs_by_set(measured: MetricPlan, sets: Mapping[str, Sequence[Example]]) -> dict[str, set[str]]:
    """What must be known of the rows of each set that some metric reads."""
    needs: dict[str, set[str]] = {}
    for name, metric in measured.values():
        for each in metric.sets if across(metric) else (name,):
            if sets.get(each):
                needs.setdefault(each, set()).update(metric.needs & offers(sets[each]))
    return needs


def offers(examples: Sequence[Example]) -> set[str]:
    """What can be known of these rows."""
    questions = any(example.prompt for example in examples)
    asked = {"prompt", "generation", "samples", "fluency", "judged"} if questions else {"text"}
    perturbed = {"perturbed"} if any(example.perturbed_answers for example in examples) else set()
    return asked | perturbed | {"moments", "gradient_norm"}


def flat_name(set_name: str, metric_name: str) -> str:
    """``forget`` and ``probability`` make ``forget_probability``; ``forget_quality`` on ``forget`` keeps its name."""
    return metric_name if metric_name.startswith(f"{set_name}_") else f"{set_name}_{metric_name}"


def forget_side(set_name: str) -> bool:
    """Whether a set is of the forget set's kind, the rows of an attack on it included."""
    return set_name in FORGET_SIDE or set_name.startswith(("forget_", "attack_"))


def rewrite_of(set_name: str, rewrites: Mapping[str, Rewrite]) -> Rewrite | None:
    """The attack that made a set, if one did."""
    return rewrites.get(set_name.removesuffix("_holdout"))


def fits(
    metric: Metric, set_name: str, examples: Sequence[Example], oracle: bool, rewrite: Rewrite | None = None
) -> bool:
    """Whether a set offers all that is in ``metric.needs``.

    A plain-text set that plays no role (wikitext) is read by text metrics only. ``limited`` metrics name their sets.
    """
    offered = offers(examples) - (set() if rewrite and rewrite.samples else {"samples"})
    offered.add("forget_side" if forget_side(set_name) else "retain_side")
    if oracle and set_name == "forget":
        offered.add("oracle")
    if rewrite is not None and metric.name not in rewrite.metrics:
        return False
    if "text" in offered and set_name not in ROLES and "text" not in metric.needs:
        return False
    return metric.needs <= offered and set_name in getattr(metric, "limited", (set_name,))


def better(metric: Measured, set_name: str) -> Literal["higher", "lower", "toward_yardstick"]:
    """Which way is better on this set: on the forget side toward the yardstick, not down.

    A metric that reads the oracle is a distance from the yardstick already and keeps its own way.
    """
    return "toward_yardstick" if forget_side(set_name) and "oracle" not in metric.needs else metric.better
