"""Membership inference needs unseen rows of the same kind as the forget rows; without them it is refused.

A difference in kind alone tells two sets apart and would be mistaken for memory (Das et al., arXiv 2406.16201).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mollm_cli.core.errors import RequestError
from mollm_cli.metrics.auc import auc

if TYPE_CHECKING:
    from mollm_cli.data.load_dataset import Loaded
    from mollm_cli.evaluation.suite import Suite

FAR = 0.25
"""The largest distance from .5 of the lengths' AUC: beyond it, lengths alone tell the two sets apart."""


def check_membership(suite: Suite, loaded: Mapping[str, Loaded]) -> None:
    """Raise RequestError if a metric of the suite needs a matched holdout set and there is none."""
    for key, metric in suite.metrics.items():
        required: frozenset[str] = getattr(metric, "required", frozenset()) if suite.membership else frozenset()
        for name in sorted(required - set(loaded)):
            raise RequestError(
                f"evaluation.metrics.{key} sets forget rows against rows of the same kind that the starting model "
                f"never saw, found no data.{name}. Set data.{name}.path=FILE (or +dataset@data.{name}=NAME), or "
                "leave membership inference out: evaluation.membership=false"
            )
        if "holdout" in required:
            _check_matched(key, *(lengths(suite, loaded[name]) for name in ("forget", "holdout")))


def lengths(suite: Suite, rows: Loaded) -> list[float]:
    """The number of characters of each answer that is scored."""
    return [float(len(example.answer)) for example in rows.examples[: suite.limit]]


def _check_matched(key: str, forget: list[float], holdout: list[float]) -> None:
    blind = auc(forget, holdout)
    if abs(blind - 0.5) > FAR:
        raise RequestError(
            f"evaluation.metrics.{key} needs holdout rows of the forget rows' kind, found answers whose length alone "
            f"tells them apart (AUC {blind:.2f}, .5 is chance). Give data.holdout rows of the same source and length, "
            "or leave membership inference out: evaluation.membership=false"
        )
