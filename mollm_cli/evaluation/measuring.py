"""A suite on one model: rows are scored once, then every metric is computed from the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mollm_cli.core.doing import advance
from mollm_cli.core.types import Result, Rows, Scored
from mollm_cli.evaluation.clock import Clock
from mollm_cli.evaluation.metric_plan import MetricPlan, across, needs_by_set, passes_of, plan, rewrite_of
from mollm_cli.evaluation.work_sharing import ONE_PROCESS, WorkSharing

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from mollm_cli.data.load_dataset import Loaded
    from mollm_cli.evaluation.score_store import ScoreStore
    from mollm_cli.evaluation.suite import Suite

Scores = dict[str, list[Scored]]
"""By set, one record per example."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A suite's results on one model.

    values: by flat name; None if undefined.
    scored: by set, one record per example.
    per_example: by set, then by the metric's name, in the order of ``scored``; without metrics that have no value per
    example.
    intervals, details: by flat name, for the metrics that have them.
    rows: by flat name, how many rows have a value, and of how many.
    seconds: see evaluation/clock.py.
    """

    values: dict[str, float | None]
    scored: Scores
    per_example: dict[str, dict[str, list[float | None]]]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    details: dict[str, dict[str, float | int | str]] = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, flat: str, result: Result) -> None:
        """Store a result under a flat name."""
        self.values[flat] = result.value
        if result.interval is not None:
            self.intervals[flat] = result.interval
        if result.details:
            self.details[flat] = dict(result.details)
        if result.counted is not None:
            self.rows[flat] = result.counted

    def whole(self, flat: str) -> bool:
        """False of a value that some rows have no part in, as they have none themselves."""
        valued, of = self.rows.get(flat, (0, 0))
        return valued == of


def measured(suite: Suite, sets: Mapping[str, Loaded], oracle: bool) -> MetricPlan:
    """The metric plan of a suite on these sets."""
    return plan(suite.chosen, suite.rows(sets), oracle, suite.rewrites)


def score_sets(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sets: Mapping[str, Loaded],
    suite: Suite,
    oracle: bool,
    clock: Clock,
    store: ScoreStore | None = None,
    sharing: WorkSharing = ONE_PROCESS,
) -> Scores:
    """Score every set that some metric fits, once. Raises whatever scoring raises.

    oracle: there will be an oracle's scores too.
    store: scores that an earlier start of this run has kept.
    """
    from mollm_cli.data.encoder import Encoder
    from mollm_cli.evaluation.scoring import score

    rows, encoder = suite.rows(sets), Encoder(tokenizer)
    scores: Scores = {}
    for name, needs in needs_by_set(measured(suite, sets, oracle), rows).items():
        kept = None if store is None else store.read(name, rows[name])
        if kept is None:
            rewrite = rewrite_of(name, suite.rewrites)
            samples = rewrite.samples if rewrite else 0
            kept = score(model, encoder, name, sets[name], suite, needs, clock, samples, sharing)
            if store is not None:
                store.write(name, kept)
        else:
            advance(len(kept) * passes_of(needs))  # an earlier start did it
        scores[name] = kept
    return scores


def passes(sets: Mapping[str, Loaded], suite: Suite, oracle: bool) -> int:
    """Rows that ``score_sets`` goes through, each as often as it is read."""
    rows = suite.rows(sets)
    needed = needs_by_set(measured(suite, sets, oracle), rows)
    return sum(len(rows[name]) * passes_of(needs) for name, needs in needed.items())


def compute(
    scores: Scores,
    sets: Mapping[str, Loaded],
    suite: Suite,
    oracle: Mapping[str, Sequence[Scored]] | None,
    clock: Clock,
) -> Evaluation:
    """Compute the metrics from scores; for the oracle's own metrics, ``oracle`` is the oracle itself."""
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
