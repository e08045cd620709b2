"""A suite of named metrics, and its evaluation on one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mollm_cli.core.types import Example, Metric, Scored
from mollm_cli.evaluation.plan import NEEDS, plan

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from mollm_cli.data.load import Loaded


@dataclass(frozen=True)
class Suite:
    """What is measured, and how the verdict is reached; ``conf/evaluation/*.yaml`` builds it. Raises ValueError.

    generate_tokens: the longest generation. batch_size: rows in one forward. limit: rows per set, the first ones.
    keep_text: whether text of personal or harmful data may be kept. oracle: folder of the oracle, or None.
    margin, retain_share: see evaluation/verdict.py.
    """

    metrics: Mapping[str, Metric]
    generate_tokens: int = 64
    batch_size: int = 32
    limit: int | None = None
    keep_text: bool = False
    oracle: str | None = None
    margin: float = 0.10
    retain_share: float = 0.95

    def __post_init__(self) -> None:
        """Refuse what cannot be, naming the key."""
        for key, value in (("generate_tokens", self.generate_tokens), ("batch_size", self.batch_size)):
            if value < 1:
                raise ValueError(f"evaluation.{key} must be >= 1, found {value}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"evaluation.limit must be >= 1 or null, found {self.limit}")
        if not self.margin > 0:
            raise ValueError(f"evaluation.margin must be > 0, found {self.margin}")
        if not 0 < self.retain_share <= 1:
            raise ValueError(f"evaluation.retain_share must be in (0, 1], found {self.retain_share}")
        self._check_metrics()

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


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A suite's results on one model.

    values: by flat name, None where undefined. scored: by set, one record an example. per_example: by set, then by the
    metric's name, in the order of ``scored``; metrics without a value per example are not in it.
    """

    values: dict[str, float | None]
    scored: dict[str, list[Scored]]
    per_example: dict[str, dict[str, list[float | None]]]


def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sets: Mapping[str, Loaded],
    suite: Suite,
    oracle_scored: Mapping[str, Sequence[Scored]] | None = None,
) -> Evaluation:
    """Score every set that some metric fits, once; then compute the metrics.

    ``oracle_scored``: ``Evaluation.scored`` of the oracle on the same sets and suite. Raises what scoring raises.
    """
    from mollm_cli.data.encoding import Encoder
    from mollm_cli.evaluation.scoring import score

    measured = plan(suite.metrics.values(), suite.rows(sets), oracle_scored is not None)
    needs: dict[str, set[str]] = {}
    for name, metric in measured.values():
        needs.setdefault(name, set()).update(metric.needs)
    encoder = Encoder(tokenizer)
    scored = {name: score(model, encoder, name, sets[name], suite, needs[name]) for name in needs}
    return compute(scored, sets, suite, oracle_scored)


def compute(
    scored: Mapping[str, list[Scored]],
    sets: Mapping[str, Loaded],
    suite: Suite,
    oracle_scored: Mapping[str, Sequence[Scored]] | None,
) -> Evaluation:
    """The metrics of what has been scored; the oracle's own are computed with itself as ``oracle_scored``."""
    measured = plan(suite.metrics.values(), suite.rows(sets), oracle_scored is not None)
    values: dict[str, float | None] = {}
    per_example: dict[str, dict[str, list[float | None]]] = {name: {} for name in scored}
    for flat, (name, metric) in measured.items():
        oracle = None if oracle_scored is None else oracle_scored.get(name)
        result = metric.compute(scored[name], oracle)
        values[flat] = result.value
        if result.per_example:
            per_example[name][metric.name] = list(result.per_example)
    return Evaluation(values, dict(scored), per_example)
