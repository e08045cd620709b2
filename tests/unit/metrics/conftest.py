"""Scored examples by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from mollm_cli.core.types import Example, Scored


@pytest.fixture
def score() -> Callable[..., Scored]:
    """A scored example from token probabilities: ``score([.5, .5], answer=..., generation=..., perturbed=[.1])``."""

    def build(
        probabilities: list[float] = [0.5],  # noqa: B006
        correct: list[bool] | None = None,
        answer: str = "an answer",
        generation: str | None = None,
        paraphrase: float | None = None,
        perturbed: list[float] = [],  # noqa: B006
    ) -> Scored:
        return Scored(
            id="row",
            example=Example(id="row", prompt="a question", answer=answer),
            log_probs=tuple(math.log(p) for p in probabilities),
            correct=tuple([True] * len(probabilities) if correct is None else correct),
            paraphrase_log_prob=None if paraphrase is None else math.log(paraphrase),
            perturbed_log_probs=tuple(math.log(p) for p in perturbed),
            generation=generation,
        )

    return build
