"""What a memory plan depends on, as plain objects: each setting is read from its own place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mollm_cli.core.solution import Solver
from mollm_cli.core.types import Loss, Role
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.models.model_settings import Model
from mollm_cli.models.reference import Kind
from mollm_cli.optimizers.eight_bit import AdamW8bit
from mollm_cli.optimizers.rules import SGD, AdamW

Optimizer = AdamW | SGD | AdamW8bit


@dataclass(frozen=True, slots=True)
class Shape:
    """The largest step of a role: rows in it, tokens of the longest, targets of a micro-batch; padded: unlike lengths.

    compared: all targets of the role's rows, whose states a reference cache holds.
    """

    rows: int
    tokens: int
    targets: int
    padded: bool = False
    compared: int = 0


@dataclass(frozen=True, slots=True)
class Asking:
    """Evaluation: rows in a forward pass, tokens of the longest row, targets of one, tokens that are generated.

    models: how many are on the device, the oracle counts.
    """

    rows: int = 32
    tokens: int = 512
    targets: int = 32 * 128
    generated: int = 64
    models: int = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a plan depends on. config: the architecture (models/blueprint.py). shapes: by role, at ``micro_batch``.

    device: "cuda", "mps" or "cpu". reference: its kind, as models/reference.py names it.
    """

    model: Model
    config: Any
    loss: Loss
    solver: Solver
    direction: Direction
    optimizer: Optimizer
    engine: Engine
    shapes: Mapping[Role, Shape]
    asking: Asking
    reference: Kind
    device: str = "cpu"

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
        """Whether every one of several processes has all weights."""
        return self.processes > 1 and self.shards == 1

    @property
    def micro_batches(self) -> int:
        """Forward passes a role in one optimizer step, in the process that has the most rows."""
        own = -(-self.engine.batch_size // self.processes)
        return -(-own // max(shape.rows for shape in self.shapes.values()))

    @property
    def targets(self) -> dict[tuple[int, int], int]:
        """Targets of a micro-batch by its shape (B, T), the larger number where two roles share one."""
        found: dict[tuple[int, int], int] = {}
        for shape in self.shapes.values():
            place = (shape.rows, shape.tokens)
            found[place] = max(found.get(place, 0), shape.targets)
        return found
