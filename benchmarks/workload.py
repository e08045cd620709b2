"""What every row works on: a Llama with random weights and fresh random batches. Nothing from the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from mollm_cli.core.types import IGNORE, Batch, Role

LR = 1e-5
"""Small, so that some hundred steps of gradient ascent stay finite; the cost of a step does not depend on it."""
CLIP_NORM = 1.0
SEED = 0
NOISE = 0.01
"""Standard deviation of what is added to the weights after the reference is taken, so that the KL is alive."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a Llama with untied embeddings and full attention heads."""

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int


SHAPES = {
    "tiny": Shape(vocabulary=97, hidden=32, intermediate=64, layers=2, heads=4),
    "5m": Shape(vocabulary=16_000, hidden=128, intermediate=352, layers=4, heads=4),
    "25m": Shape(vocabulary=16_000, hidden=384, intermediate=1024, layers=8, heads=6),
    "125m": Shape(vocabulary=16_000, hidden=768, intermediate=2048, layers=14, heads=12),
}
PRECISIONS = ("float32", "bf16", "bf16_autocast")


@dataclass(frozen=True, slots=True)
class Workload:
    """Size of the model and of a step: ``batch`` rows per role of ``tokens`` tokens, the last ``answer`` are targets.

    precision: float32; bf16 (weights and computation); bf16_autocast (float32 weights). Raises ValueError.
    """

    size: str = "25m"
    batch: int = 4
    tokens: int = 192
    answer: int = 48
    device: str = "cpu"
    precision: str = "float32"

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

    def config(self) -> Any:
        """The Llama of this size, written out."""
        from transformers import LlamaConfig

        shape = SHAPES[self.size]
        return LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            max_position_embeddings=self.tokens,
            attention_dropout=0.0,
            tie_word_embeddings=False,
        )

    def model(self) -> Any:
        """The same random weights at every call, in training mode."""
        from transformers import LlamaForCausalLM

        torch.manual_seed(SEED)
        return LlamaForCausalLM(self.config()).to(self.device, self.dtype).train()

    def batches(self, turn: int) -> dict[Role, Batch]:
        """The rows of one step, other ones at every ``turn``; full length, so that no row profits from padding."""
        generator = torch.Generator().manual_seed(SEED + 1 + turn)
        return {role: self._batch(role, generator) for role in ("forget", "retain")}

    def _batch(self, role: Role, generator: torch.Generator) -> Batch:
        ids = torch.randint(SHAPES[self.size].vocabulary, (self.batch, self.tokens), generator=generator)
        labels = ids.clone()
        labels[:, : self.tokens - self.answer] = IGNORE
        names = tuple(f"{role}{i}" for i in range(self.batch))
        return Batch(names, ids, torch.ones_like(ids), labels).to(torch.device(self.device))


@torch.no_grad()
def move(model: torch.nn.Module) -> None:
    """Step away from where the model started: without it the KL and its gradient are zero."""
    generator = torch.Generator().manual_seed(SEED)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator).to(parameter.device, parameter.dtype)
        parameter.add_(noise, alpha=NOISE)
