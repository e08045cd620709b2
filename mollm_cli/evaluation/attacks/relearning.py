"""A short fine-tuning after the forgetting: does it bring back what it is not about?"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from mollm_cli.core.errors import RequestError, nearest
from mollm_cli.core.types import Encoded, Role
from mollm_cli.evaluation.attacks.attack_protocol import Bench, Finetuning

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Relearning:
    """Cross-entropy with AdamW for ``steps`` steps, looked at every ``every`` of them. Raises ValueError.

    data: "forget" trains on a part of the forget rows (``share`` of them, drawn by ``seed``) and measures the others;
    "retain" or the name of a set trains on benign rows and measures all forget rows. What comes back faster than a
    model learns that never saw the rows was hidden, not forgotten: the oracle's curve stands beside it. Too small a
    learning rate makes any model look robust; the one that the model was trained with is a fair choice.

    headline: probability. It rises step by step, where greedy decoding jumps.
    Source: OpenUnlearning (arXiv 2506.12618), which relearns on forget rows it also measures; here never the same ones.
    """

    data: str = "forget"
    share: float = 0.5
    steps: int = 20
    learning_rate: float = 1e-4
    batch_size: int = 8
    every: int = 5
    seed: int = 0
    name: str = "relearning"
    kind: ClassVar[Literal["weights"]] = "weights"
    headline: ClassVar[str] = "probability"
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
        """What is trained on, and for how long."""
        if self.data == "forget":
            return f"{self.steps} steps of training on {self.share:.0%} of the forget rows, measured on the others"
        return f"{self.steps} steps of training on {self.data}, measured on the forget rows"

    @property
    def cost(self) -> str:
        """Steps, and looks between them."""
        looks = 1 + math.ceil(self.steps / self.every)
        return f"{self.steps} optimizer steps and {looks} passes over the rows, on a copy of the model"

    def check(self, rows: Mapping[Role, Sequence[Encoded]]) -> None:
        """Raise RequestError where ``rows``, encoded by role and set, hold nothing to train on or to measure."""
        self._taught(rows)

    def measured(self, forget: Sequence[Encoded]) -> Sequence[Encoded]:
        """The forget rows that it is not trained on, in their order; ``forget``: all of them, as in ``Bench.rows``."""
        if self.data != "forget":
            return forget
        part = self._part(len(forget))
        return [row for place, row in enumerate(forget) if place not in part]

    def tampered(self, model: PreTrainedModel, bench: Bench) -> Iterator[float]:
        """Train ``model``, yielding 0 before the first step and then the steps done. Raises RequestError."""
        rows = self._taught(bench.rows)
        settings = Finetuning(self.steps, self.learning_rate, self.batch_size, self.every)
        yield 0.0
        yield from map(float, bench.finetune(model, rows, settings))

    def _taught(self, rows: Mapping[Role, Sequence[Encoded]]) -> list[Encoded]:
        """What is trained on."""
        key = f"evaluation.attacks.{self.name}"
        if not rows.get(self.data):
            there = nearest(self.data, (name for name, some in rows.items() if some))
            raise RequestError(f"{key}.data must name rows that there are, found '{self.data}'; {there}")
        taught = rows[self.data]
        if self.data != "forget":
            return list(taught)
        if len(taught) < 2:
            raise RequestError(
                f"{key} trains on some forget rows and measures the others, found one row. Leave it out: '~{key}'"
            )
        return [taught[place] for place in sorted(self._part(len(taught)))]

    def _part(self, rows: int) -> frozenset[int]:
        """Places of the rows that are trained on: ``share`` of them, at least one, and never all."""
        many = min(max(round(self.share * rows), 1), rows - 1)
        return frozenset(random.Random(self.seed).sample(range(rows), max(many, 0)))


def robustness(gain_oracle: float, gain_unlearned: float) -> float:
    """min(gain of the oracle / gain of the unlearned model, 1), 1 where the latter gained nothing.

    Of a metric after relearning less its value before. 1: it relearns no faster than a model that never saw the rows;
    near 0: what was forgotten came back. Source: OpenUnlearning (arXiv 2506.12618).
    """
    return 1.0 if gain_unlearned <= 0 else min(gain_oracle / gain_unlearned, 1.0)
