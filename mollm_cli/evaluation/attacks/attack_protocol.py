"""What an attack is: a rewrite of the forget rows, a tampering with the weights, or a comparison of two models.

An attack's flat names begin with ``attack_<name>_``: on forget rows ``attack_relearning_probability``, on others
``attack_relearning_retain_probability``, ``attack_relearning_holdout_probability``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from mollm_cli.core.types import Encoded, Role
    from mollm_cli.data.load_dataset import Loaded

PREFIX = "attack_"


@dataclass(frozen=True, slots=True)
class Finetuning:
    """A short training: cross-entropy on given rows with AdamW. every: steps between two looks."""

    steps: int
    learning_rate: float
    batch_size: int
    every: int


@dataclass(frozen=True, slots=True)
class Bench:
    """What a tampering works with. rows: encoded, by role and set.

    finetune: trains the model in place and yields after how many steps it may be looked at, the last one included.
    """

    rows: Mapping[Role, Sequence[Encoded]]
    finetune: Callable[[PreTrainedModel, Sequence[Encoded], Finetuning], Iterator[int]]


class Attack(Protocol):
    """What every attack tells of itself.

    name: its part of the flat names. kind: which of the protocols below it follows. what: one sentence. cost: one
    phrase, in passes over the rows. headline: the metric that says whether it got something.
    """

    @property
    def name(self) -> str:
        """Its part of the flat names."""
        ...

    @property
    def kind(self) -> Literal["rewrite", "weights", "comparison"]:
        """Which of the protocols below it follows."""
        ...

    @property
    def what(self) -> str:
        """What is done, in one sentence."""
        ...

    @property
    def cost(self) -> str:
        """What that takes, in one phrase."""
        ...

    @property
    def headline(self) -> str:
        """The metric that says whether it got something."""
        ...


class Rewrite(Attack, Protocol):
    """The same rows asked otherwise. metrics: what is measured on them, of the suite's. samples: drawn a prompt."""

    @property
    def metrics(self) -> frozenset[str]:
        """What is measured on the rows, of the suite's metrics."""
        ...

    @property
    def samples(self) -> int:
        """Continuations drawn a prompt."""
        ...

    def rewrite(self, rows: Loaded) -> Loaded | None:
        """``rows`` asked otherwise; None where they do not have what that takes."""
        ...


class WeightsAttack(Attack, Protocol):
    """Weights changed by someone who has them. x: what the curve is drawn over."""

    @property
    def x(self) -> Literal["step", "bits"]:
        """What the curve is drawn over."""
        ...

    def check(self, rows: Mapping[Role, Sequence[Encoded]]) -> None:
        """Raise RequestError where ``rows``, encoded by role and set, do not have what the attack takes."""
        ...

    def measured(self, forget: Sequence[Encoded]) -> Sequence[Encoded]:
        """The forget rows that say whether it got something: those that were not given to it."""
        ...

    def tampered(self, model: PreTrainedModel, bench: Bench) -> Iterator[float]:
        """Change ``model`` in place, yielding x whenever it is to be measured; the last point is the outcome."""
        ...


class ComparisonAttack(Attack, Protocol):
    """Someone who has the model from before the forgetting too."""

    def answers(
        self,
        before: PreTrainedModel,
        after: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        tokenizer: PreTrainedTokenizerBase,
        end_ids: Sequence[int],
        max_new_tokens: int,
        batch_size: int,
    ) -> list[str]:
        """One continuation a prompt."""
        ...
