"""The sizes of the models that are measured, written out: nothing comes from the Hub."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a causal language model. heads: of the keys and values ``key_value_heads``, None: as many.

    opt: Zhang et al., arXiv 2205.01068 (learned positions, biases, ReLU); llama: Touvron et al., arXiv 2302.13971.
    """

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int | None = None
    tied: bool = False
    family: Literal["llama", "opt"] = "llama"

    def config(self, positions: int) -> Any:
        """The configuration of a model for texts of ``positions`` tokens, without dropout."""
        return _opt(self, positions) if self.family == "opt" else _llama(self, positions)


SHAPES = {
    "tiny": Shape(vocabulary=97, hidden=32, intermediate=64, layers=2, heads=4),
    "5m": Shape(vocabulary=16_000, hidden=128, intermediate=352, layers=4, heads=4),
    "25m": Shape(vocabulary=16_000, hidden=384, intermediate=1024, layers=8, heads=6),
    "125m": Shape(vocabulary=16_000, hidden=768, intermediate=2048, layers=14, heads=12),
    "opt-1.3b": Shape(50_272, hidden=2048, intermediate=8192, layers=24, heads=32, tied=True, family="opt"),
    "llama-3.2-1b": Shape(128_256, hidden=2048, intermediate=8192, layers=16, heads=32, key_value_heads=8, tied=True),
    "llama-3-8b": Shape(128_256, hidden=4096, intermediate=14_336, layers=32, heads=32, key_value_heads=8),
}
"""By name; the sizes of OPT-1.3B, Llama-3.2-1B and Llama-3-8B are those of their published configurations."""


def small(shape: Shape) -> Shape:
    """The same kind of model, small enough for a test."""
    heads = None if shape.key_value_heads is None else 2
    return replace(shape, vocabulary=97, hidden=32, intermediate=64, layers=2, heads=4, key_value_heads=heads)


def _llama(shape: Shape, positions: int) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads or shape.heads,
        max_position_embeddings=positions,
        attention_dropout=0.0,
        tie_word_embeddings=shape.tied,
    )


def _opt(shape: Shape, positions: int) -> Any:
    from transformers import OPTConfig

    return OPTConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        word_embed_proj_dim=shape.hidden,
        ffn_dim=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=positions,
        dropout=0.0,
        attention_dropout=0.0,
        tie_word_embeddings=shape.tied,
    )
