"""The words of the project as types, and the axis letters used in every shape.

Axis letters: B sequences, T tokens, V vocabulary, H hidden, m objectives, n parameters, N target tokens of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from mollm_cli.core.outputs import Outputs

if TYPE_CHECKING:
    import torch

IGNORE = -100
"""The label of a position that is no target (prompt, padding): the value torch's cross-entropy ignores."""

Role = str
TRAINING_ROLES: tuple[Role, ...] = ("forget", "retain", "alternate")
"""Roles that an objective may read."""
ROLES: tuple[Role, ...] = ("forget", "retain", "forget_test", "retain_test", "holdout", "alternate")

COUNTERFACTUAL: Role = "counterfactual"
"""The set of forget rows with other names and numbers (data/counterfactual.py): a yardstick, no more."""
PROBES = "probes"
"""The beginning of the names of sets that ask for the forget rows' facts in other manners than theirs."""
MANNERS = ("in_blanks", "in_few_words", "by_name")
MADE_PROBES = tuple(f"{PROBES}_{manner}" for manner in MANNERS)
"""The sets of probes that are made of the forget rows, one a manner (data/probes.py): measured by probability only."""

Content = Literal["ordinary", "personal", "harmful"]


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a dataset: ``answer`` is what is trained on or scored, ``prompt`` (may be "") is only given.

    ``id`` is stable (dataset name and row number); the optional fields serve metrics only.
    """

    id: str
    prompt: str
    answer: str
    paraphrased_question: str | None = None
    paraphrased_answer: str | None = None
    perturbed_answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids and labels of one example, equally long; labels are IGNORE where there is no target.

    reworded: a forget row in a manner that is not its own: it is trained on, and says nothing of the forget target.
    """

    id: str
    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    reworded: bool = False

    @property
    def targets(self) -> int:
        """Number of positions that are predicted: the first token has no predecessor, so it never counts."""
        return sum(label != IGNORE for label in self.labels[1:])


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded sequences: input_ids, attention_mask, labels, each int64 [B, T].

    idle: a row that another process has; it is passed through the model, because all processes do that equally often,
    and counts for nothing. reworded: which rows are not in their own manner; () where all are.
    """

    ids: tuple[str, ...]
    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor
    idle: bool = False
    reworded: tuple[bool, ...] = ()

    def to(self, device: torch.device) -> Batch:
        """The same batch on ``device``."""
        return self.moved(lambda x: x.to(device, non_blocking=True))

    def moved(self, move: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        """The same batch with its tensors elsewhere."""
        ids, mask, labels = move(self.input_ids), move(self.attention_mask), move(self.labels)
        return Batch(self.ids, ids, mask, labels, self.idle, self.reworded)


ObjectiveFunction = Callable[[Mapping[Role, Outputs]], "tuple[torch.Tensor, int]"]
"""Outputs per role in; (sum over units, number of units) out. The sum carries the gradient."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One named scalar that is minimised; the sign is in ``function``, never in ``weight``.

    roles: what it reads; of several the rows are read pairwise. unit: what the sum runs over, on the first role.
    layer: None reads logits; a number (from 0) the hidden states that this layer gives out, where the forward stops.
    reference: whether it needs the same of the frozen starting model. divergence: whether it is the KL to that model,
    which direction.kl_budget may hold. weight: its fixed weight in a weighted sum, its preference in a programme on
    unit rows; >= 0. bound: the value that it is to stay below, where it is a constraint (solver primal_dual). start:
    the same function of the frozen starting model's outputs, beyond which direction.retain=hold lets it not rise.
    """

    name: str
    roles: tuple[Role, ...]
    function: ObjectiveFunction
    unit: Literal["token", "sequence"] = "token"
    reference: bool = False
    weight: float = 1.0
    layer: int | None = None
    divergence: bool = False
    bound: float | None = None
    start: ObjectiveFunction | None = None

    def __post_init__(self) -> None:
        """Refuse a sign in the weight and a role nobody feeds."""
        if not self.weight >= 0:
            raise ValueError(
                f"objective '{self.name}': weight must be >= 0 (the sign belongs to the objective), found {self.weight}"
            )
        for role in self.roles:
            if role not in TRAINING_ROLES:
                raise ValueError(f"objective '{self.name}': unknown role '{role}'; roles: {', '.join(TRAINING_ROLES)}")


@dataclass(frozen=True, slots=True)
class Loss:
    """An ordered table of objectives; the order is that of rows and weights everywhere.

    An objective of weight 0 is no row: it is left out, with the forward passes that it alone would need.
    ``solvers``: names of the solvers the table makes sense with, or None for any. ``trainable``: a regular expression;
    only parameters in whose name it is found are trained. Raises ValueError.
    """

    name: str
    objectives: tuple[Objective, ...]
    solvers: tuple[str, ...] | None = None
    trainable: str | None = None

    def __post_init__(self) -> None:
        """Leave rows of weight 0 out; refuse a table without rows, two of one name, one role read in two ways."""
        rows = tuple(o for o in self.objectives if o.weight > 0)
        if self.objectives and not rows:
            raise ValueError(f"loss '{self.name}': at least one weight must be > 0, found none")
        names = [o.name for o in rows]
        if len(set(names)) < len(names):
            raise ValueError(f"loss '{self.name}': objectives must have names of their own, found {', '.join(names)}")
        object.__setattr__(self, "objectives", rows)
        for role in self.roles:
            if len({o.layer for o in rows if role in o.roles}) > 1:
                raise ValueError(
                    f"loss '{self.name}': objectives on '{role}' must all read logits, or one hidden layer; found both"
                )

    @property
    def roles(self) -> tuple[Role, ...]:
        """The training roles that some objective reads, in order of first use."""
        return tuple(dict.fromkeys(role for o in self.objectives for role in o.roles))

    @property
    def needs_reference(self) -> bool:
        """True if any objective compares with the frozen starting model."""
        return any(o.reference for o in self.objectives)

    def compares(self, role: Role) -> bool:
        """True if any objective compares the model's output on ``role`` with that of the frozen starting model."""
        return any(o.reference and role in o.roles for o in self.objectives)

    def layer(self, role: Role) -> int | None:
        """The hidden layer at which the forward pass of ``role`` stops; None: it goes on to the logits."""
        return next((o.layer for o in self.objectives if role in o.roles), None)


@dataclass(frozen=True, slots=True)
class Scored:
    """One example as a model sees it: the record that every metric reads.

    log_probs: log p of each answer token (its end token included) under teacher forcing; correct: argmax = label there.
    paraphrase_log_prob, perturbed_log_probs: *mean* token log p of the paraphrased / each perturbed answer.
    answer_log_prob: mean of log_probs. generation: greedy continuation of the prompt, None where none was asked for.
    token_means, token_deviations: mean and standard deviation of log p_v, v drawn from the model, at each answer token.
    gradient_norm: |gradient of the mean nll by all parameters|. samples: continuations drawn from the model.
    fluency_log_prob: mean token log p of the generation under the reference. judged: by judge, the probability that
    it gives the generation of being what it looks for.
    """

    id: str
    example: Example
    log_probs: tuple[float, ...]
    correct: tuple[bool, ...]
    paraphrase_log_prob: float | None = None
    perturbed_log_probs: tuple[float, ...] = ()
    generation: str | None = None
    token_means: tuple[float, ...] = ()
    token_deviations: tuple[float, ...] = ()
    gradient_norm: float | None = None
    samples: tuple[str, ...] = ()
    fluency_log_prob: float | None = None
    judged: Mapping[str, float] = field(default_factory=dict)

    @property
    def answer_log_prob(self) -> float:
        """Mean token log p of the answer, in nats per token; in (-inf, 0]."""
        return sum(self.log_probs) / len(self.log_probs)


Rows = tuple[int, int]
"""The number of rows with a value, and that of all rows."""


@dataclass(frozen=True, slots=True)
class Result:
    """A metric's aggregate (None where it is undefined) and its per-example values, in the order of the examples.

    interval: where 95 % of its values lie when the examples are drawn anew with replacement; None where that has no
    meaning. details: what else must be said for the value to be read rightly, {"D": 0.12, "n": 40}.
    rows: of a value without one per example, how many rows it was made of, and how many there were.
    """

    value: float | None
    per_example: tuple[float | None, ...] = ()
    interval: tuple[float, float] | None = None
    details: Mapping[str, float | int | str] = field(default_factory=dict)
    rows: Rows | None = None

    @property
    def counted(self) -> Rows | None:
        """The number of rows with a value, and that of all rows; None if nothing was counted."""
        if self.rows is not None or not self.per_example:
            return self.rows
        return sum(value is not None for value in self.per_example), len(self.per_example)


class Described(Protocol):
    """The properties that every metric has."""

    @property
    def name(self) -> str:
        """The word that flat names end in; of a metric over several sets, its flat name."""
        ...

    @property
    def unit(self) -> str:
        """The unit of the value."""
        ...

    @property
    def version(self) -> int:
        """Raised whenever the same examples would give another value."""
        ...

    @property
    def better(self) -> Literal["higher", "lower", "toward_yardstick"]:
        """The direction that is better: for a metric of one set, on rows that should stay."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """The words of metrics/__init__.py for what the scorer must provide and which sets the metric fits.

        On several sets: where it can; "oracle": measured beside an oracle only.
        """
        ...


class Metric(Described, Protocol):
    """One metric: scored examples in, a Result out."""

    def compute(self, examples: Sequence[Scored], oracle: Sequence[Scored] | None) -> Result:
        """The metric on ``examples``; ``oracle`` holds the same examples scored by the oracle, where there is one."""
        ...


class SetsMetric(Described, Protocol):
    """One metric over several sets at once: forget against holdout, or the model as a whole.

    It is measured where the first of its ``sets`` has rows; its flat name is its name alone.
    """

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets that are read, where they are there."""
        ...

    @property
    def required(self) -> frozenset[str]:
        """The sets without which a request for this metric is refused."""
        ...

    def compute_across(
        self, scored: Mapping[str, Sequence[Scored]], oracle: Mapping[str, Sequence[Scored]] | None
    ) -> Result:
        """The metric on the sets that are there; values per example belong to the first of ``sets``."""
        ...
