"""Rows per forward pass, and fewer of them where the device has no room (engine.micro_batch=auto)."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mollm_cli.core.types import Batch, Role
from mollm_cli.engine.batch_losses import Batches
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.engine.result import StepResult
from mollm_cli.engine.step import Stepper


@dataclass(slots=True)
class MicroBatches:
    """The rows of each role in one forward pass, halved where the device is out of memory.

    rows: at present.
    auto: whether fewer may be taken.
    tell: hears of it.

    A step that finds no room before its optimizer moves is taken again with half the rows: the same batch and the same
    optimizer step, its sums added up in more pieces (equal up to rounding). Later steps keep to that number.
    """

    rows: int
    auto: bool = False
    tell: Callable[[str], None] = lambda text: None

    @classmethod
    def of(cls, settings: Engine, tell: Callable[[str], None] = lambda text: None) -> MicroBatches:
        """The rows that ``settings`` ask for."""
        return cls(settings.rows, settings.micro_batch == "auto", tell)

    def take(self, stepper: Stepper, batches: Batches, lr: float, record: bool, step: int) -> StepResult:
        """One step of ``stepper``. Raises torch.OutOfMemoryError where fewer rows may not be, or cannot be, taken."""
        if not self.auto:
            return stepper(batches, lr, record=record)
        while True:
            # A second try must start from the same state: it is refused once anything has been written to.
            drawn, versions, moved = _generators(stepper), _versions(stepper), [False]
            watch = stepper.optimizer.register_step_pre_hook(lambda *told, moved=moved: moved.__setitem__(0, True))
            try:
                return stepper(cut(batches, self.rows), lr, record=record)
            except torch.OutOfMemoryError:
                if self.rows == 1 or moved[0] or versions != _versions(stepper):
                    raise
            finally:
                watch.remove()
            self._halve(stepper, step)  # after the handler: the frames that it held have let go of their tensors
            _draw_again(drawn, stepper)

    def _halve(self, stepper: Stepper, step: int) -> None:
        had, self.rows = self.rows, self.rows // 2
        stepper.optimizer.zero_grad(set_to_none=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.tell(f"step {step}: no room for {had} rows in one forward pass; going on with {self.rows}")


def cut(batches: Mapping[Role, Sequence[Batch]], rows: int) -> dict[Role, list[Batch]]:
    """Cut ``batches`` into pieces of at most ``rows`` rows, in the same order, each as wide as its longest row."""
    return {role: [piece for batch in parts for piece in _pieces(batch, rows)] for role, parts in batches.items()}


def _pieces(batch: Batch, rows: int) -> list[Batch]:
    if len(batch.ids) <= rows:
        return [batch]
    return [_narrowed(batch, slice(start, start + rows)) for start in range(0, len(batch.ids), rows)]


def _narrowed(batch: Batch, taken: slice) -> Batch:
    mask = batch.attention_mask[taken]
    width = int(mask.sum(dim=1).max())
    ids, labels = batch.input_ids[taken, :width], batch.labels[taken, :width]
    return Batch(batch.ids[taken], ids, mask[:, :width], labels, batch.idle, batch.reworded[taken])


def _versions(stepper: Stepper) -> list[int]:
    """The number of times each parameter was written to."""
    return [parameter._version for parameter in stepper.parameters]


def _generators(stepper: Stepper) -> list[Any]:
    device = stepper.parameters[0].device
    return [torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None]


def _draw_again(states: list[Any], stepper: Stepper) -> None:
    """Let the next try draw the same random numbers (an adapter's dropout)."""
    torch.set_rng_state(states[0])
    if states[1] is not None:
        torch.cuda.set_rng_state(states[1], stepper.parameters[0].device)
