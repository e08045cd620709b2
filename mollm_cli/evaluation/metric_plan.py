"""The metric plan: each metric on each set that it fits, by the name of the result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Literal

from mollm_cli.core.types import COUNTERFACTUAL, MADE_PROBES, PROBES, ROLES, Example, Metric, SetsMetric

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from mollm_cli.evaluation.attacks.attack_protocol import Rewrite

FORGET_SIDE = frozenset({"forget", "forget_test", "holdout", COUNTERFACTUAL})
"""Sets of the forget set's kind, on which the distance to a model that never saw the forget set counts."""

NEEDS = frozenset(
    {
        *("prompt", "text", "generation", "samples", "perturbed", "moments", "gradient_norm", "fluency", "judged"),
        *("forget_side", "retain_side", "oracle"),
    }
)
"""The words of ``Metric.needs``; mollm_cli/metrics/__init__.py explains them."""

Measured = Metric | SetsMetric
MetricPlan = dict[str, tuple[str, Measured]]
"""Flat name -> (set, metric), in the order of sets and metrics; "" for a metric over several sets."""
GENERATED = frozenset({"generation", "fluency", "judged"})
"""The needs for which a greedy generation is made."""


def plan(
    metrics: Iterable[Measured],
    sets: Mapping[str, Sequence[Example]],
    oracle: bool,
    rewrites: Mapping[str, Rewrite] | None = None,
) -> MetricPlan:
    """Every measurement that fits, by its flat name.

    oracle: there will be an oracle's scores.
    rewrites: the attacks that made sets, by the set's name. Such a set, and the one of its holdout rows, gets only the
    metrics that its attack asks for.
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
    """True of a metric that reads several sets at once."""
    return hasattr(metric, "compute_across")


def needs_by_set(measured: MetricPlan, sets: Mapping[str, Sequence[Example]]) -> dict[str, set[str]]:
    """By set that some metric reads: the words of ``Metric.needs`` that apply to its rows."""
    needs: dict[str, set[str]] = {}
    for name, metric in measured.values():
        for each in metric.sets if across(metric) else (name,):
            if sets.get(each):
                needs.setdefault(each, set()).update(metric.needs & offers(sets[each]))
    return needs


def passes_of(needs: Set[str]) -> int:
    """The number of times that the rows of a set with these needs are gone through."""
    return 1 + bool(needs & GENERATED) + ("samples" in needs)


def offers(examples: Sequence[Example]) -> set[str]:
    """The words of ``Metric.needs`` that these rows can satisfy."""
    questions = any(example.prompt for example in examples)
    asked = {"prompt", "generation", "samples", "fluency", "judged"} if questions else {"text"}
    perturbed = {"perturbed"} if any(example.perturbed_answers for example in examples) else set()
    return asked | perturbed | {"moments", "gradient_norm"}


def flat_name(set_name: str, metric_name: str) -> str:
    """Set and metric in one name: ``forget_probability``; ``forget_quality`` on ``forget`` keeps its name."""
    return metric_name if metric_name.startswith(f"{set_name}_") else f"{set_name}_{metric_name}"


def forget_side(set_name: str) -> bool:
    """True of a set of the forget set's kind; the rows of an attack are such a set too, and so are probes."""
    return set_name in FORGET_SIDE or set_name.startswith(("forget_", "attack_", PROBES))


def rewrite_of(set_name: str, rewrites: Mapping[str, Rewrite]) -> Rewrite | None:
    """The attack that made a set; None for any other set."""
    return rewrites.get(set_name.removesuffix("_holdout"))


def fits(
    metric: Metric, set_name: str, examples: Sequence[Example], oracle: bool, rewrite: Rewrite | None = None
) -> bool:
    """True if a set offers all that is in ``metric.needs``.

    Only text metrics read a plain-text set without a role (wikitext). ``limited`` metrics name their sets. Of
    counterfactual rows the probability alone is a yardstick: other metrics would read what is not there. Of probes that
    were made it is all that is needed, and it costs a pass over few words.
    """
    if set_name in (COUNTERFACTUAL, *MADE_PROBES):
        return metric.name == "probability"
    offered = offers(examples) - (set() if rewrite and rewrite.samples else {"samples"})
    offered.add("forget_side" if forget_side(set_name) else "retain_side")
    if oracle and set_name == "forget":
        offered.add("oracle")
    if rewrite is not None and metric.name not in rewrite.metrics:
        return False
    # Metrics of answers would say nothing on running text such as wikitext.
    if "text" in offered and set_name not in ROLES and "text" not in metric.needs:
        return False
    return metric.needs <= offered and set_name in getattr(metric, "limited", (set_name,))


def better(metric: Measured, set_name: str) -> Literal["higher", "lower", "toward_yardstick"]:
    """The better direction on this set; on the forget side that is toward the yardstick, not down.

    A metric that reads the oracle is already a distance from the yardstick and keeps its own direction.
    """
    return "toward_yardstick" if forget_side(set_name) and "oracle" not in metric.needs else metric.better
