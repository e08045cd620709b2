"""The facts that a plan depends on: the settings of a request, each as it is, and the largest batches of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mollm_cli.core.solution import Solver
from mollm_cli.core.types import Encoded, Loss, Role
from mollm_cli.data.batches import Stream
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.models.model_settings import Model
from mollm_cli.models.reference import Kind
from mollm_cli.optimizers.eight_bit import AdamW8bit
from mollm_cli.optimizers.rules import SGD, AdamW

Optimizer = AdamW | SGD | AdamW8bit


@dataclass(frozen=True, slots=True)
class Shape:
    """The largest forward pass of a role.

    rows: in the batch.
    tokens: of the longest of them; the others are padded to it.
    targets: of all of them together.
    padded: whether any is shorter than the longest.
    compared: targets of all rows of the role, whose states a cached reference holds.
    """

    rows: int
    tokens: int
    targets: int
    padded: bool = False
    compared: int = 0


@dataclass(frozen=True, slots=True)
class Scoring:
    """The largest batch of an evaluation.

    generated: tokens that are generated for a row.
    models: how many models are loaded at a time; the oracle is scored beside the model that is to be trained.
    gradients: whether a metric takes the gradient of single rows.
    attacked: the weights that an attack holds, in models: two where it compares, four where it trains with AdamW.
    """

    rows: int = 32
    tokens: int = 512
    targets: int = 32 * 128
    generated: int = 64
    models: int = 1
    gradients: bool = False
    attacked: int = 0


@dataclass(frozen=True, slots=True)
class Sizes:
    """All that a plan depends on.

    config: the architecture, as transformers configures it.
    shapes: by role.
    reference: the kind of the reference, as models/reference.py names it.
    device: "cpu", "cuda" or "mps".
    base: bytes that the process itself takes in main memory: the interpreter, libraries, rows and tokenizer.
    """

    model: Model
    config: Any
    loss: Loss
    solver: Solver
    direction: Direction
    optimizer: Optimizer
    engine: Engine
    shapes: Mapping[Role, Shape]
    scoring: Scoring
    reference: Kind
    device: str = "cpu"
    base: int = 0

    @property
    def processes(self) -> int:
        """Processes of the run."""
        return self.engine.processes or 1

    @property
    def shards(self) -> int:
        """Parts that weights, gradients and the optimizer's state are cut into; 1: every process has all of them."""
        return self.processes if self.engine.parallel == "fsdp" else 1

    @property
    def replicated(self) -> bool:
        """True if every one of several processes has all weights."""
        return self.processes > 1 and self.shards == 1

    @property
    def micro_batches(self) -> int:
        """Forward passes per role in one optimizer step, in the process that has the most rows."""
        own = -(-self.engine.batch_size // self.processes)
        return -(-own // max(shape.rows for shape in self.shapes.values()))

    @property
    def keeps_rows(self) -> bool:
        """True if a step keeps one gradient per objective."""
        return "gram" in self.solver.needs and self.direction.gram == "exact"


def training_shape(stream: Stream, engine: Engine, steps: int, compared: bool) -> Shape:
    """The largest micro-batch that a run of ``steps`` steps draws from ``stream``, in any of its processes."""
    processes = engine.processes or 1
    own = -(-engine.batch_size // processes)
    size = 1 if engine.micro_batch == "auto" else min(engine.rows, own)
    most = 1 + -(-stream.count // engine.batch_size)  # an epoch, and the step that reaches into the next one
    pieces = [piece for step in range(min(steps, most)) for piece in _pieces(stream, step, processes, size)]
    largest = max(pieces, key=lambda rows: len(rows) * _longest(rows))
    stored = sum(row.targets for row in stream.encoded) if compared else 0
    lengths = {len(row.input_ids) for row in largest}
    targets = max(sum(row.targets for row in rows) for rows in pieces)
    return Shape(len(largest), _longest(largest), targets, len(lengths) > 1, stored)


def _pieces(stream: Stream, step: int, processes: int, size: int) -> Iterable[Sequence[Encoded]]:
    """The micro-batches of ``step``, as Stream.batches cuts them."""
    numbers = sorted(stream.rows(step), key=lambda row: stream.lengths[row])
    for rank in range(processes):
        rows = [stream.encoded[number] for number in numbers[rank::processes]]
        yield from (rows[start : start + size] for start in range(0, len(rows), size))


def scoring_shape(sets: Iterable[Sequence[Encoded]], answers: int, asked: Scoring) -> Scoring:
    """``asked``, whose rows are those of a full batch, for the rows of ``sets``.

    answers: that are scored per row, the perturbed ones included.
    """
    found = [rows for rows in sets if rows]
    rows = min(asked.rows, answers * max(map(len, found)))
    targets = max(row.targets for rows in found for row in rows)
    return replace(asked, rows=rows, tokens=max(map(_longest, found)), targets=rows * targets)


def _longest(rows: Sequence[Encoded]) -> int:
    return max(len(row.input_ids) for row in rows)
