"""What every row works on: a model with random weights and fresh random batches. Nothing from the Hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.shapes import SHAPES, Shape, small
from mollm_cli.core.types import IGNORE, Batch, Encoded, Role
from mollm_cli.data.batches import collate

LR = 1e-5
"""Small, so that some hundred steps of gradient ascent stay finite; the cost of a step does not depend on it."""
CLIP_NORM = 1.0
SEED = 0
NOISE = 0.01
"""Standard deviation of what is added to the weights after the reference is taken, so that the KL is alive."""


PRECISIONS = ("float32", "bf16", "bf16_autocast")


@dataclass(frozen=True, slots=True)
class Workload:
    """Size of the model and of a step: ``batch`` rows per role of ``tokens`` tokens, the last ``answer`` are targets.

    precision: float32; bf16 (weights and computation); bf16_autocast (float32 weights). vocabulary: None, that of the
    size. checkpointing: of activations. small: the same kind of model, small enough for a test. Raises ValueError.
    """

    size: str = "25m"
    batch: int = 4
    tokens: int = 192
    answer: int = 48
    device: str = "cpu"
    precision: str = "float32"
    vocabulary: int | None = None
    checkpointing: bool = False
    small: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if self.size not in SHAPES:
            raise ValueError(f"--size must be one of {', '.join(SHAPES)}, found {self.size}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"--precision must be one of {', '.join(PRECISIONS)}, found {self.precision}")
        if not 0 < self.answer < self.tokens:
            raise ValueError(f"--answer must be at least 1 and less than --tokens {self.tokens}, found {self.answer}")
        if self.batch < 1:
            raise ValueError(f"--batch must be at least 1, found {self.batch}")

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    @property
    def autocast(self) -> bool:
        """Whether forward passes run in bfloat16 over float32 weights."""
        return self.precision == "bf16_autocast"

    @property
    def cuda(self) -> bool:
        """Whether it runs on a GPU."""
        return self.device.startswith("cuda")

    @property
    def shape(self) -> Shape:
        """The sizes of the model."""
        shape = small(SHAPES[self.size]) if self.small else SHAPES[self.size]
        return shape if self.vocabulary is None else replace(shape, vocabulary=self.vocabulary)

    def config(self) -> Any:
        """The configuration of the model."""
        return self.shape.config(self.tokens)

    def model(self) -> Any:
        """The same random weights at every call, made where they stay, in training mode."""
        from transformers import AutoModelForCausalLM

        torch.manual_seed(SEED)
        with torch.device(self.device):
            model = AutoModelForCausalLM.from_config(self.config(), dtype=self.dtype).train()
        if self.checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        return model

    def rows(self, role: Role, turn: int) -> list[Encoded]:
        """The rows of a role in one step, other ones at every ``turn``; full length: no row profits from padding."""
        generator = torch.Generator().manual_seed(SEED + 1 + 2 * turn + (role == "retain"))
        ids = torch.randint(self.shape.vocabulary, (self.batch, self.tokens), generator=generator).tolist()
        given = [IGNORE] * (self.tokens - self.answer)
        return [Encoded(f"{role}{turn}-{i}", tuple(row), (*given, *row[len(given) :])) for i, row in enumerate(ids)]

    def batch_of(self, rows: Sequence[Encoded]) -> Batch:
        """Rows on the device."""
        return collate(rows, 0).to(torch.device(self.device))

    def batches(self, turn: int) -> dict[Role, Batch]:
        """The batches of one step."""
        return {role: self.batch_of(self.rows(role, turn)) for role in ("forget", "retain")}


@torch.no_grad()
def move(model: torch.nn.Module) -> None:
    """Step away from where the model started, by noise on what is trained: without it the KL's gradient is zero."""
    generators: dict[torch.device, torch.Generator] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            place = parameter.device
            generator = generators.setdefault(place, torch.Generator(place).manual_seed(SEED))
            noise = torch.randn(parameter.shape, generator=generator, device=place, dtype=parameter.dtype)
            parameter.add_(noise, alpha=NOISE)
