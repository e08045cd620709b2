"""A suite on one model: rows are scored once, then every metric is computed from the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mollm_cli.core.types import Example, Result, Scored
from mollm_cli.evaluation.clock import Clock
from mollm_cli.evaluation.metric_plan import MetricPlan, across, needs_by_set, plan, rewrite_of
from mollm_cli.evaluation.work_sharing import ONE, WorkSharing

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from mollm_cli.data.load_dataset import Loaded
    from mollm_cli.evaluation.suite import Suite

Scores = dict[str, list[Scored]]
"""One record an example, by set."""


class Keeper(Protocol):
    """What remembers scores from one start of a run to the next."""

    def read(self, name: str, examples: Sequence[Example]) -> list[Scored] | None:
        """The scores of the set ``name``, None where there are none of these rows under the same settings."""
        ...

    def write(self, name: str, scored: Sequence[Scored]) -> None:
        """Keep the scores of a set."""
        ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A suite's results on one model.

    values: by flat name, None where undefined; intervals and details by flat name, where there are any.
    scored: by set, one record an example. per_example: by set, then by the metric's name, in the order of ``scored``;
    metrics without a value per example are not in it. seconds: see evaluation/clock.py.
    """

    values: dict[str, float | None]
    scored: Scores
    per_example: dict[str, dict[str, list[float | None]]]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    details: dict[str, dict[str, float | int | str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, flat: str, result: Result) -> None:
        """Put a result under a flat name."""
        self.values[flat] = result.value
        if result.interval is not None:
            self.intervals[flat] = result.interval
        if result.details:
            self.details[flat] = dict(result.details)


def measured(suite: Suite, sets: Mapping[str, Loaded], oracle: bool) -> MetricPlan:
    """What a suite measures on these sets."""
    return plan(suite.chosen, suite.rows(sets), oracle, suite.rewrites)


def score_sets(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sets: Mapping[str, Loaded],
    suite: Suite,
    oracle: bool,
    clock: Clock,
    keeper: Keeper | None = None,
    turns: WorkSharing = ONE,
) -> Scores:
    """Score every set that some metric fits, once; ``oracle``: whether there is one. Raises what scoring raises."""
    from mollm_cli.data.encoder import Encoder
    from mollm_cli.evaluation.scoring import score

    rows, encoder = suite.rows(sets), Encoder(tokenizer)
    scores: Scores = {}
    for name, needs in needs_by_set(measured(suite, sets, oracle), rows).items():
        kept = None if keeper is None else keeper.read(name, rows[name])
        if kept is None:
            rewrite = rewrite_of(name, suite.rewrites)
            samples = rewrite.samples if rewrite else 0
            kept = score(model, encoder, name, sets[name], suite, needs, clock, samples, turns)
            if keeper is not None:
                keeper.write(name, kept)
        scores[name] = kept
    return scores


def compute(
    scores: Scores,
    sets: Mapping[str, Loaded],
    suite: Suite,
    oracle: Mapping[str, Sequence[Scored]] | None,
    clock: Clock,
) -> Evaluation:
    """The metrics of what has been scored; the oracle's own are computed with itself as ``oracle``."""
    evaluation = Evaluation({}, scores, {name: {} for name in scores}, seconds=clock.seconds)
    for flat, (name, metric) in measured(suite, sets, oracle is not None).items():
        with clock.measured(f"metric.{metric.name}"):
            if across(metric):
                result, name = metric.compute_across(scores, oracle), metric.sets[0]
            else:
                result = metric.compute(scores[name], None if oracle is None else oracle.get(name))
        evaluation.add(flat, result)
        if result.per_example:
            evaluation.per_example[name][metric.name] = list(result.per_example)
    return evaluation


def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sets: Mapping[str, Loaded],
    suite: Suite,
    oracle: Mapping[str, Sequence[Scored]] | None = None,
) -> Evaluation:
    """Score and compute in one go; ``oracle``: the oracle's scores of the same sets under the same suite."""
    clock = Clock()
    return compute(score_sets(model, tokenizer, sets, suite, oracle is not None, clock), sets, suite, oracle, clock)
