"""What a run holds from its first step to its last, in bytes: weights, optimizer state, key-value cache, files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from mollm_cli.engine.facts import Optimizer
from mollm_cli.optimizers.eight_bit import AdamW8bit
from mollm_cli.optimizers.rules import AdamW

GIB = 2**30
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""A parameter in 4-bit NormalFloat: half a byte, an 8-bit scale for 64 of them, a float32 scale for 256 scales
(double quantisation, Dettmers et al., arXiv 2305.14314, section 3)."""
SMALLEST_QUANTISED = 4096
"""Elements below which bitsandbytes keeps the moments of a tensor in float32."""
BLOCK = 256
"""Elements that share a float32 scale in an 8-bit moment."""
CUDA_CONTEXT = int(0.6 * GIB)
"""What a process takes of a card before and beside torch's allocator: context, kernels, cuBLAS workspaces."""
FRAGMENTATION = 0.03
"""Share of what is allocated that the caching allocator loses to rounding and to pieces that nothing fits into."""


def tensor_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """sum of numel * bytes of an element, each tensor once (tied weights are one)."""
    return sum(t.numel() * t.element_size() for t in {id(t): t for t in tensors}.values())


def weights_bytes(model: Any, quantised: Iterable[torch.Tensor] = ()) -> int:
    """Parameters and buffers of ``model``. quantised: those kept in 4 bits (NF4_BYTES each).

    Beside 4-bit weights everything that is not a quantised matrix is kept in float32 (peft's preparation of such
    models raises embeddings, head and norms).
    """
    everything = [*model.parameters(), *model.buffers()]
    packed = {id(t): t for t in quantised}
    if not packed:
        return tensor_bytes(everything)
    rest = {id(t): t for t in everything if id(t) not in packed}.values()
    raised: int = sum(t.numel() * (4 if t.is_floating_point() else t.element_size()) for t in rest)
    return int(sum(t.numel() for t in packed.values()) * NF4_BYTES) + raised


def optimizer_bytes(optimizer: Optimizer, trained: Iterable[torch.Tensor]) -> int:
    """State of ``optimizer`` over the parameters ``trained``, n elements of b bytes each.

    AdamW: two moments, 2 n b (float32: 8 n). SGD: n b with momentum, else 0. optimizer.update other than plain:
    b = 4, and "master" n 4 more where the weights are of half precision. 8-bit AdamW: 2 n (1 + 4 / BLOCK); float32
    moments for small tensors.
    """
    total = 0.0
    for p in trained:
        n, half = p.numel(), p.element_size() < 4
        exact = half and optimizer.update != "plain"
        size = 4 if exact else p.element_size()
        if isinstance(optimizer, AdamW8bit):
            total += 8 * n if n < SMALLEST_QUANTISED else 2 * n * (1 + 4 / BLOCK)
        elif isinstance(optimizer, AdamW):
            total += 2 * n * size
        else:
            total += n * size if optimizer.momentum else 0
        total += 4 * n if exact and optimizer.update == "master" else 0
    return int(total)


def paged(optimizer: Optimizer) -> bool:
    """Whether the state of ``optimizer`` may leave the card for the host."""
    return isinstance(optimizer, AdamW8bit) and optimizer.paged


def key_value_bytes(config: Any, rows: int, tokens: int, element_size: int) -> int:
    """The cache of a generation: 2 (keys, values) x layers x key-value heads x head size x rows x tokens x bytes."""
    text = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(2 * text.num_hidden_layers * heads * size * rows * tokens * element_size)


def resume_bytes(trained_bytes: int, state_bytes: int, carried_bytes: int, kept: int) -> int:
    """resume/ at most: two points of weights, optimizer state and carried rows, and ``kept`` weights of evaluations."""
    return 2 * (trained_bytes + state_bytes + carried_bytes) + kept * trained_bytes
