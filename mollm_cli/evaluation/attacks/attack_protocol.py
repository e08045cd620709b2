"""The three kinds of attack: a rewrite of the forget rows, a tampering with the weights, a comparison of two models.

An attack's flat names begin with ``attack_<name>_``: on forget rows ``attack_relearning_probability``, on others
``attack_relearning_retain_probability``, ``attack_relearning_holdout_probability``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from mollm_cli.evaluation.attacks.asking import METRICS, asked
from mollm_cli.evaluation.attacks.comparison import ModelComparison

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from mollm_cli.core.types import Encoded, Example, Role
    from mollm_cli.data.load_dataset import Loaded

PREFIX = "attack_"


@dataclass(frozen=True, slots=True)
class Finetuning:
    """A short training: cross-entropy on given rows with AdamW; ``every``: steps between two measurements."""

    steps: int
    learning_rate: float
    batch_size: int
    every: int


@dataclass(frozen=True, slots=True)
class Bench:
    """The rows and the trainer that a tampering works with.

    rows: encoded, by role and set.
    finetune: trains the model in place and yields the number of steps whenever the model may be measured, last at the
    end.
    """

    rows: Mapping[Role, Sequence[Encoded]]
    finetune: Callable[[PreTrainedModel, Sequence[Encoded], Finetuning], Iterator[int]]


class Rewrite(ABC):
    """The rows that have a question, asked in another way; a subclass defines ``ask``, or ``rewrite`` as a whole."""

    kind: ClassVar[Literal["rewrite"]] = "rewrite"
    what: ClassVar[str]
    headline: ClassVar[str] = "probability"
    metrics: ClassVar[frozenset[str]] = METRICS
    """The suite's metrics that are measured on the rewritten rows."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its part of the flat names."""

    @property
    def cost(self) -> str:
        """One phrase that says what it takes."""
        return "one more pass over the rows and one generation a row"

    @property
    def samples(self) -> int:
        """Continuations drawn per prompt, beside the greedy one."""
        return 0

    def ask(self, place: int, example: Example) -> Example | None:
        """The row as the attack asks it; None leaves it out. place: its position among the rows with a question."""
        return example

    def rewrite(self, rows: Loaded) -> Loaded | None:
        """The rewritten rows as a set; None if the attack fits no row."""
        questions = (example for example in rows.examples if example.prompt)
        changed = (self.ask(place, example) for place, example in enumerate(questions))
        return asked(rows, self.name, (example for example in changed if example is not None))


class WeightsAttack(ABC):
    """A change of the weights by someone who has them."""

    kind: ClassVar[Literal["weights"]] = "weights"
    headline: ClassVar[str] = "probability"
    x: ClassVar[Literal["step", "bits"]]
    """The quantity on the curve's horizontal axis."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its part of the flat names."""

    @property
    @abstractmethod
    def what(self) -> str:
        """One sentence that says what is done."""

    @property
    @abstractmethod
    def cost(self) -> str:
        """One phrase that says what it takes."""

    @abstractmethod
    def check(self, rows: Mapping[Role, Sequence[Encoded]]) -> None:
        """Raise RequestError if ``rows``, encoded by role and set, lack something that the attack needs."""

    @abstractmethod
    def measured(self, forget: Sequence[Encoded]) -> Sequence[Encoded]:
        """The forget rows that show whether it succeeded: those that it was not given."""

    @abstractmethod
    def tampered(self, model: PreTrainedModel, bench: Bench) -> Iterator[float]:
        """Change ``model`` in place and yield x whenever it is to be measured; the last point is the outcome."""


Attack = Rewrite | WeightsAttack | ModelComparison
"""Any attack; ``kind`` says which. what, cost: what is done and what it takes, in words. headline: the metric that
decides whether it succeeded."""
