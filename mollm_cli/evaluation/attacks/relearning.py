"""A short fine-tuning after the forgetting, which may bring back rows that it does not train on."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from mollm_cli.core.errors import RequestError, nearest
from mollm_cli.core.types import Encoded, Role
from mollm_cli.evaluation.attacks.attack_protocol import Bench, Finetuning, WeightsAttack

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Relearning(WeightsAttack):
    """Cross-entropy with AdamW for ``steps`` steps, measured after every ``every`` of them. Raises ValueError.

    data: "forget" trains on a part of the forget rows (``share`` of them, drawn by ``seed``) and measures the others.
    "retain" or the name of a set trains on benign rows and measures all forget rows.
    learning_rate: if it is too small, any model looks robust; the one that the model was trained with is fair.

    Rows that come back faster than a model learns them that never saw them were hidden, not forgotten. The oracle's
    curve shows how fast that is.

    headline: probability. It rises step by step, while greedy decoding jumps.
    Source: OpenUnlearning (arXiv 2506.12618), which measures the rows that it relearns on; here they are never the
    same.
    """

    data: str = "forget"
    share: float = 0.5
    steps: int = 20
    learning_rate: float = 1e-4
    batch_size: int = 8
    every: int = 5
    seed: int = 0
    name: str = "relearning"
    x: ClassVar[Literal["step"]] = "step"

    def __post_init__(self) -> None:
        """Refuse what cannot be, naming the key."""
        key = f"evaluation.attacks.{self.name}"
        if not 0 < self.share < 1:
            raise ValueError(f"{key}.share must be in (0, 1), found {self.share}")
        if not self.learning_rate > 0:
            raise ValueError(f"{key}.learning_rate must be > 0, found {self.learning_rate}")
        for field, value in (("steps", self.steps), ("batch_size", self.batch_size), ("every", self.every)):
            if value < 1:
                raise ValueError(f"{key}.{field} must be >= 1, found {value}")

    @property
    def what(self) -> str:
        """The training, in one sentence."""
        if self.data == "forget":
            return f"{self.steps} steps of training on {self.share:.0%} of the forget rows, measured on the others"
        return f"{self.steps} steps of training on {self.data}, measured on the forget rows"

    @property
    def cost(self) -> str:
        """The steps, and the measurements between them."""
        passes = 1 + math.ceil(self.steps / self.every)
        return f"{self.steps} optimizer steps and {passes} passes over the rows, on a copy of the model"

    def check(self, rows: Mapping[Role, Sequence[Encoded]]) -> None:
        """Raise RequestError if ``rows``, encoded by role and set, hold nothing to train on or to measure."""
        self._trained_on(rows)

    def measured(self, forget: Sequence[Encoded]) -> Sequence[Encoded]:
        """The forget rows that it is not trained on, in their order; ``forget``: all of them, as in ``Bench.rows``."""
        if self.data != "forget":
            return forget
        part = self._part(len(forget))
        return [row for place, row in enumerate(forget) if place not in part]

    def tampered(self, model: PreTrainedModel, bench: Bench) -> Iterator[float]:
        """Train ``model``, yielding 0 before the first step and then the steps done. Raises RequestError."""
        rows = self._trained_on(bench.rows)
        settings = Finetuning(self.steps, self.learning_rate, self.batch_size, self.every)
        yield 0.0
        yield from map(float, bench.finetune(model, rows, settings))

    def _trained_on(self, rows: Mapping[Role, Sequence[Encoded]]) -> list[Encoded]:
        """The rows that the attack trains on."""
        key = f"evaluation.attacks.{self.name}"
        if not rows.get(self.data):
            there = nearest(self.data, (name for name, some in rows.items() if some))
            raise RequestError(f"{key}.data must name rows that there are, found '{self.data}'; {there}")
        trained_on = rows[self.data]
        if self.data != "forget":
            return list(trained_on)
        if len(trained_on) < 2:
            raise RequestError(
                f"{key} trains on some forget rows and measures the others, found one row. Leave it out: '~{key}'"
            )
        # In the order of the rows, not of the draw.
        return [trained_on[place] for place in sorted(self._part(len(trained_on)))]

    def _part(self, rows: int) -> frozenset[int]:
        """Places of the rows that are trained on: ``share`` of all, at least one and never all."""
        many = min(max(round(self.share * rows), 1), rows - 1)
        return frozenset(random.Random(self.seed).sample(range(rows), max(many, 0)))


def robustness(gain_oracle: float, gain_unlearned: float) -> float:
    """min(gain of the oracle / gain of the unlearned model, 1); 1 if the unlearned model gained nothing.

    A gain is a metric after relearning minus its value before. 1: the model relearns no faster than one that never saw
    the rows; near 0: the forgotten rows came back. Source: OpenUnlearning (arXiv 2506.12618).
    """
    return 1.0 if gain_unlearned <= 0 else min(gain_oracle / gain_unlearned, 1.0)
