"""Families of causal language models, each two layers and 16 to 32 wide, with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import transformers

WIDE: Mapping[str, Any] = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "max_position_embeddings": 256,
}  # fmt: skip
GROUPED = {**WIDE, "num_key_value_heads": 1}
ARCHITECTURES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "llama": ("Llama", GROUPED),
    "mistral": ("Mistral", {**GROUPED, "sliding_window": 8}),
    "mixtral": ("Mixtral", {**GROUPED, "num_local_experts": 3, "num_experts_per_tok": 2}),
    "qwen2": ("Qwen2", {**GROUPED, "tie_word_embeddings": True}),
    "qwen3": ("Qwen3", {**GROUPED, "head_dim": 8}),
    "qwen3-moe": (
        "Qwen3Moe",
        {**GROUPED, "head_dim": 8, "num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
    ),
    "phi3": ("Phi3", GROUPED),
    "gemma2": (
        "Gemma2",
        {**GROUPED, "head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8, "final_logit_softcapping": 3.0},
    ),
    "gemma3": ("Gemma3Text", {**GROUPED, "head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8}),
    "gpt2": ("GPT2", {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 256}),
    "opt": ("OPT", {**WIDE, "ffn_dim": 24, "word_embed_proj_dim": 16}),
    "gpt-neox": ("GPTNeoX", {**WIDE, "rotary_pct": 0.5}),
    "falcon-h1": (
        "FalconH1",
        {
            **GROUPED, "mamba_d_ssm": 16, "mamba_n_heads": 2, "mamba_d_head": 8, "mamba_n_groups": 1,
            "mamba_d_state": 4, "mamba_chunk_size": 8,
        },
    ),
    "mamba": ("Mamba", {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4, "time_step_rank": 4}),
    "granite": ("Granite", {**GROUPED, "logits_scaling": 3.0, "residual_multiplier": 0.5}),
    "cohere": ("Cohere", {**GROUPED, "logit_scale": 0.5}),
}  # fmt: skip
"""Name -> (the beginning of its configuration's class, what that says beside the vocabulary)."""
NO_TOKENS: Mapping[str, Any] = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
"""Ids that a configuration assumes are of a vocabulary that is not here."""


def architecture(name: str, vocabulary: int, seed: int = 0, **changes: Any) -> Any:
    """A model of ``name`` for so many tokens, ready to be read: no dropout, weights large enough to tell tokens apart.

    changes: of the configuration, such as eos_token_id.
    """
    prefix, said = ARCHITECTURES[name]
    config = getattr(transformers, f"{prefix}Config")(vocab_size=vocabulary, **{**NO_TOKENS, **said, **changes})
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                weight.normal_(0.0, 0.3)
    return model
