"""Sizes of a small Llama, as a plan takes them."""

from __future__ import annotations

from typing import Any

from transformers import LlamaConfig

from mollm_cli.engine.engine_settings import Engine
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.mollm import mollm
from mollm_cli.models.model_settings import Model
from mollm_cli.optimizers.rules import AdamW
from mollm_cli.planning.memory_plan import MemoryPlan
from mollm_cli.planning.sizes import Scoring, Shape, Sizes
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA

LAYER, OUTER = 4 * 32 * 32 + 3 * 32 * 64 + 2 * 32, 2 * 97 * 32 + 32
"""Parameters of a layer, and around the layers."""


def small(layers: int = 2) -> LlamaConfig:
    """A Llama whose numbers are small enough to be counted by hand."""
    return LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=64,
    )


def planned(**changes: Any) -> Sizes:
    """MOLLM on a card, four rows of 16 tokens; ``changes`` are fields."""
    loss = changes.pop("loss", mollm())
    given: dict[str, Any] = {
        "model": Model("random"),
        "config": small(),
        "loss": loss,
        "solver": DualSpaceMGDA(),
        "direction": Direction(),
        "optimizer": AdamW(),
        "engine": Engine(batch_size=4),
        "shapes": dict.fromkeys(loss.roles, Shape(4, 16, 24, compared=100)),
        "scoring": Scoring(2, 16, 12, 4),
        "reference": "cache",
        "device": "cuda",
    }
    return Sizes(**(given | changes))


def terms(found: MemoryPlan, phase: str = "step") -> dict[str, int]:
    """Bytes of a phase by name."""
    (named,) = [each.terms for each in found.phases if each.name == phase]
    return {term.name: term.size for term in named}
