"""One number for the abilities that a model still has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.aggregate import mean
from mollm_cli.metrics.bootstrap import percentiles, resampled_means
from mollm_cli.metrics.choice_probability import choice_probability
from mollm_cli.metrics.probability import answer_probability
from mollm_cli.metrics.rouge_l import answer_recall
from mollm_cli.metrics.truth_ratio import retained_truth

if TYPE_CHECKING:
    from mollm_cli.metrics.bootstrap import Floats

Term = Callable[[Scored], float | None]
TERMS: Mapping[str, tuple[Term, Term, Term]] = {
    "retain": (answer_probability, answer_recall, retained_truth),
    "real_authors": (choice_probability, answer_recall, retained_truth),
    "world_facts": (choice_probability, answer_recall, retained_truth),
}
"""The terms of each set: probability, ROUGE-L recall, truth ratio."""


@dataclass(frozen=True)
class ModelUtility:
    """Harmonic mean over {retain, real_authors, world_facts} x {probability, ROUGE-L recall, max(0, 1 - r)}, in [0, 1].

    The value is k / sum 1/term over k terms, each a mean over the rows of its set, and 0 if any term is 0. On the
    latter two sets, probability is choice_probability. An absent set has no terms; the paper defines the value for all
    nine, and details say how many there were. If a term of a set that is there is undefined (no perturbed answers, no
    generations), the value is None: a mean over the other terms would be another quantity under the same name. For the
    interval, the rows of a set are drawn once for all its terms.
    Source: TOFU (arXiv 2401.06121).
    """

    name: ClassVar[str] = "model_utility"
    unit: ClassVar[str] = "harmonic mean"
    version: ClassVar[int] = 2
    better: ClassVar[Literal["higher"]] = "higher"
    needs: ClassVar[frozenset[str]] = frozenset({"generation", "perturbed"})
    sets: ClassVar[tuple[str, ...]] = tuple(TERMS)
    required: ClassVar[frozenset[str]] = frozenset()

    def compute_across(
        self, scored: Mapping[str, Sequence[Scored]], oracle: Mapping[str, Sequence[Scored]] | None
    ) -> Result:
        """The utility, its interval and the number of terms; no value per example. ``oracle`` is not read."""
        columns = {
            name: [[term(row) for row in scored[name]] for term in terms]
            for name, terms in TERMS.items()
            if scored.get(name)
        }
        means = [mean(column) for table in columns.values() for column in table]
        terms = [row for table in columns.values() for row in zip(*table, strict=True)]
        rows = sum(None not in row for row in terms), len(terms)
        defined = [value for value in means if value is not None]
        if not means or len(defined) < len(means):
            return Result(None, details={"terms": len(defined)}, rows=rows)
        return Result(_harmonic(defined), interval=_interval(columns), details={"terms": len(means)}, rows=rows)


def _harmonic(terms: Sequence[float]) -> float:
    return len(terms) / sum(1 / term for term in terms) if all(terms) else 0.0


def _interval(columns: Mapping[str, Sequence[Sequence[float | None]]]) -> tuple[float, float] | None:
    """The interval of the utility; None if a set has a single row."""
    import numpy as np

    if any(len(table[0]) < 2 for table in columns.values()):
        return None
    terms = np.stack([resampled_means(c, stream) for stream, name in enumerate(columns) for c in columns[name]])
    with np.errstate(divide="ignore"):  # 1/0 is infinite and makes the harmonic mean 0, as it should be
        utilities: Floats = len(terms) / (1 / terms).sum(axis=0)
    return percentiles(utilities)
