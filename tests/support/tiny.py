"""Small models and batches for tests: real transformers classes, random weights."""

from __future__ import annotations

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

from mollm_cli.core.types import IGNORE, Batch

SMALL = {
    "llama": {"num_key_value_heads": 2},
    "opt": {"word_embed_proj_dim": 16, "ffn_dim": 32},
    "gpt2": {},
    "gpt_neox": {},
    "phi": {},
    "qwen2": {"num_key_value_heads": 2},
    "mistral": {"num_key_value_heads": 2},
    "gemma2": {"num_key_value_heads": 2, "head_dim": 8, "final_logit_softcapping": 5.0},
}
"""What a family asks for beside the sizes."""


def small(kind: str, layers: int = 2, **options):
    """A model of a family: 32 wide, 48 tokens."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind, vocab_size=48, hidden_size=32, intermediate_size=48, num_hidden_layers=layers, num_attention_heads=4,
        max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0, **SMALL.get(kind, {}) | options,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config).eval()


def llama(seed: int = 0, vocab: int = 48, hidden: int = 32, layers: int = 2, dtype: torch.dtype = torch.float32):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).to(dtype).eval()


def opt(seed: int = 0, vocab: int = 48, dtype: torch.dtype = torch.float64):
    """An OPT: float64 throughout (Llama's norms compute in float32 whatever the weights' type), ReLU, tied head."""
    torch.manual_seed(seed)
    config = OPTConfig(
        vocab_size=vocab,
        hidden_size=32,
        word_embed_proj_dim=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        dropout=0.0,
    )
    return OPTForCausalLM(config).to(dtype).eval()


def batch(seed: int = 0, rows: int = 4, tokens: int = 12, vocab: int = 48, prefix: str = "r") -> Batch:
    """Rows of different lengths, right-padded, labels on the second half of each."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, vocab, (rows, tokens), generator=generator)
    labels, mask = ids.clone(), torch.ones_like(ids)
    for row in range(rows):
        length = tokens - row % 3
        mask[row, length:], ids[row, length:] = 0, 0
        labels[row, : tokens // 2], labels[row, length:] = IGNORE, IGNORE
    return Batch(tuple(f"{prefix}{i}" for i in range(rows)), ids, mask, labels)


def split(whole: Batch, size: int) -> list[Batch]:
    """``whole`` in micro-batches of ``size`` rows."""
    parts = range(0, len(whole.ids), size)
    return [
        Batch(
            whole.ids[k : k + size],
            whole.input_ids[k : k + size],
            whole.attention_mask[k : k + size],
            whole.labels[k : k + size],
        )
        for k in parts
    ]
