"""A suite: the metrics, the judges of generations, and the attacks of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mollm_cli.core.privacy import KeepText
from mollm_cli.core.types import Example, Metric, SetsMetric
from mollm_cli.evaluation.attacks.attack_protocol import PREFIX, Attack, Rewrite
from mollm_cli.evaluation.harness import Harness
from mollm_cli.evaluation.judges.judge_protocol import Judge
from mollm_cli.evaluation.metric_plan import NEEDS

if TYPE_CHECKING:
    from mollm_cli.data.load_dataset import Loaded

KEPT_ON = ("retain_*", "neighbours*", "general*", "real_authors", "world_facts")
"""The names that sets of untrained rows on the retain side go by."""


@dataclass(frozen=True)
class Suite:
    """The settings of an evaluation and its verdict; ``conf/evaluation/*.yaml`` builds it. Raises ValueError.

    attacks: by name; they run after the metrics.
    judges: by name; they read generations.
    harness: tasks of lm-eval.
    generate_tokens: the longest generation.
    batch_size: rows in one forward pass.
    limit, attack_limit: the first rows of each set that are scored, or attacked; None: all.
    membership: measure membership inference too.
    keep_text: the rows whose text may be kept: all, none, or ("auto") ordinary ones.
    oracle: folder of the oracle, or None.
    start: the model from before, for evaluating a finished model (an unlearning run knows its own), or None.
    margin: see evaluation/attacks/robustness_verdict.py.
    factor, retain_share, kept_kl, kept_answers: see evaluation/verdict.py.
    kept_rows: the first rows of each unseen set, and of the plain prompts, on which a later model is held against its
    start; 0: it is not.
    kept_on: patterns of the names of sets that are to stay and were not trained on; the retain verdict reads them.
    """

    metrics: Mapping[str, Metric | SetsMetric]
    attacks: Mapping[str, Attack] = field(default_factory=dict)
    judges: Mapping[str, Judge] = field(default_factory=dict)
    harness: Harness | None = None
    generate_tokens: int = 64
    batch_size: int = 32
    limit: int | None = None
    attack_limit: int | None = 100
    membership: bool = True
    keep_text: KeepText = "auto"
    oracle: str | None = None
    start: str | None = None
    margin: float = 0.10
    factor: float = 1.5
    retain_share: float = 0.95
    kept_kl: float = 0.05
    kept_answers: float = 0.8
    kept_rows: int = 32
    kept_on: Sequence[str] = KEPT_ON

    def __post_init__(self) -> None:
        """Refuse values out of range, naming the key."""
        for key, value in (("generate_tokens", self.generate_tokens), ("batch_size", self.batch_size)):
            if value < 1:
                raise ValueError(f"evaluation.{key} must be >= 1, found {value}")
        for key, most in (("limit", self.limit), ("attack_limit", self.attack_limit)):
            if most is not None and most < 1:
                raise ValueError(f"evaluation.{key} must be >= 1 or null, found {most}")
        if not self.margin > 0:
            raise ValueError(f"evaluation.margin must be > 0, found {self.margin}")
        if not 1 < self.factor < float("inf"):
            raise ValueError(f"evaluation.factor must be > 1, found {self.factor}")
        if not 0 < self.retain_share < 1:
            raise ValueError(f"evaluation.retain_share must be in (0, 1), found {self.retain_share}")
        if not self.kept_kl > 0:
            raise ValueError(f"evaluation.kept_kl must be > 0 nats per token, found {self.kept_kl}")
        if not 0 < self.kept_answers <= 1:
            raise ValueError(f"evaluation.kept_answers must be in (0, 1], found {self.kept_answers}")
        if self.kept_rows < 0:
            raise ValueError(f"evaluation.kept_rows must be >= 0, found {self.kept_rows}")
        if isinstance(self.kept_on, str):
            raise ValueError(f"evaluation.kept_on must be a list of names of sets, found '{self.kept_on}'")
        self._check_metrics()
        self._check_attacks()

    @property
    def chosen(self) -> list[Metric | SetsMetric]:
        """The metrics to measure: without ``membership``, none that compares forget rows with unseen ones."""
        return [m for m in self.metrics.values() if self.membership or not getattr(m, "required", None)]

    @property
    def rewrites(self) -> dict[str, Rewrite]:
        """The attacks that rewrite questions, by the name of the set that they make."""
        return {f"{PREFIX}{a.name}": a for a in self.attacks.values() if a.kind == "rewrite"}

    def rows(self, sets: Mapping[str, Loaded]) -> dict[str, Sequence[Example]]:
        """The rows of each set that are scored."""
        return {name: loaded.examples[: self.limit] for name, loaded in sets.items()}

    def _check_metrics(self) -> None:
        seen: set[tuple[str, frozenset[str]]] = set()
        for key, metric in self.metrics.items():
            if unknown := metric.needs - NEEDS:
                raise ValueError(
                    f"evaluation.metrics.{key}: needs must be among {', '.join(sorted(NEEDS))}; "
                    f"found {', '.join(sorted(unknown))}"
                )
            if (metric.name, metric.needs) in seen:
                raise ValueError(
                    f"evaluation.metrics: names must differ on the same sets, found '{metric.name}' twice; "
                    f"remove '{key}'"
                )
            seen.add((metric.name, metric.needs))

    def _check_attacks(self) -> None:
        names = [attack.name for attack in self.attacks.values()]
        for key, attack in self.attacks.items():
            if names.count(attack.name) > 1:
                raise ValueError(f"evaluation.attacks: names must differ, found '{attack.name}' twice; rename '{key}'")
        for rewrite in self.rewrites.values():
            _check_headline(rewrite, {metric.name: metric for metric in self.metrics.values()})


def _check_headline(rewrite: Rewrite, metrics: Mapping[str, Metric | SetsMetric]) -> None:
    """Refuse an attack whose metric is not measured, or that draws fewer samples than its metric needs."""
    if rewrite.headline not in metrics:
        raise ValueError(
            f"evaluation.attacks.{rewrite.name} is judged by {rewrite.headline}, which the suite does not "
            f"measure; add +metric@evaluation.metrics.{rewrite.headline}={rewrite.headline}"
        )
    k = getattr(metrics[rewrite.headline], "k", 0)
    if rewrite.samples and rewrite.samples < k:
        raise ValueError(
            f"evaluation.attacks.{rewrite.name}.samples must be at least evaluation.metrics.{rewrite.headline}.k={k}, "
            f"found {rewrite.samples}"
        )


SCORING = 2
"""The version of scoring, raised whenever the same rows would get other scores.

2: texts of a dataset with ``windows`` are scored whole (evaluation/scoring.py); version 1 cut them at ``max_tokens``.
"""


def decoding(suite: Suite) -> dict[str, Any]:
    """The settings that generations and scores depend on: evaluations with different ones do not compare."""
    return {
        "scoring": SCORING,
        "generate_tokens": suite.generate_tokens,
        "limit": suite.limit,
        "attack_limit": suite.attack_limit if suite.attacks else None,
    }
