"""The memory of a run from its first step to its last, in bytes: weights, optimizer state, key-value cache, files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from mollm_cli.gradients.replicas import BUCKET
from mollm_cli.gradients.sketch import TABLE
from mollm_cli.models.forward import layers
from mollm_cli.optimizers.eight_bit import AdamW8bit
from mollm_cli.optimizers.float32_update import CHUNK
from mollm_cli.optimizers.rules import AdamW
from mollm_cli.planning.sizes import Optimizer, Sizes

NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""A parameter in 4-bit NormalFloat: half a byte, an 8-bit scale for 64 of them, a float32 scale for 256 scales
(double quantisation, Dettmers et al., arXiv 2305.14314, section 3)."""
SMALLEST_QUANTISED = 4096
"""Elements below which bitsandbytes keeps the moments of a tensor in float32."""
BLOCK = 256
"""Elements that share a float32 scale in an 8-bit moment."""


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
    """True if the state of ``optimizer`` may leave the card for the host."""
    return isinstance(optimizer, AdamW8bit) and optimizer.paged


def key_value_bytes(config: Any, rows: int, tokens: int, element_size: int) -> int:
    """The cache of a generation: 2 (keys, values) x layers x key-value heads x head size x rows x tokens x bytes."""
    text = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(2 * text.num_hidden_layers * heads * size * rows * tokens * element_size)


def moving_bytes(sizes: Sizes, trained: list[torch.nn.Parameter]) -> int:
    """The memory of the optimizer's step, and of its checks, beside gradients, one part of the model at a time.

    The guard's correction and the optimizer's metric: three tensors like the largest parameter, in float32. An update
    in float32: values, gradients and random bits of CHUNK elements, or of the largest parameter.
    """
    largest = max(p.numel() for p in trained)
    most = 3 * 4 * largest if sizes.keeps_rows else 0
    if sizes.optimizer.update != "plain":
        most = max(most, 3 * 4 * max(largest, min(CHUNK, sum(p.numel() for p in trained))))
    return most


def summing_bytes(sizes: Sizes, trained: list[torch.nn.Parameter]) -> int:
    """The buffer in which replicas add gradients up: a bucket, or, in half precision, a whole gradient in float32."""
    if not sizes.replicated:
        return 0
    count = sum(p.numel() for p in trained)
    return 4 * (count if any(p.element_size() < 4 for p in trained) else min(BUCKET, count))


def sketch_bytes(sizes: Sizes, model: Any) -> int:
    """The map of the sketches, the sketches, and the images of all weights before and after a step, in float64."""
    if "gram" not in sizes.solver.needs or sizes.direction.gram == "exact":
        return 0
    from mollm_cli.gradients.taps import Taps

    buckets = sizes.direction.sketch_buckets
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [trained[k] for k in Taps(model, trained).matrices]
    side = buckets**0.5 / 2
    images = sum(min(side, rows) * min(side, columns) for rows, columns in (p.shape for p in matrices))
    axes = sum(sum(p.shape) for p in matrices)
    return int(4 * buckets * (TABLE + 1 + 3 * len(sizes.loss.objectives)) + 2 * 8 * images + 12 * axes)


def factor_bytes(sizes: Sizes, model: Any) -> int:
    """The part of the last role kept by direction.gram=factors: the cotangents of all linear layers, per objective."""
    if "gram" not in sizes.solver.needs or sizes.direction.gram != "factors" or sizes.micro_batches > 1:
        return 0
    from mollm_cli.gradients.taps import Taps

    trained = [p for p in model.parameters() if p.requires_grad]
    width = sum(trained[k].shape[0] for k in Taps(model, trained).matrices)
    tokens = max(shape.rows * shape.tokens for shape in sizes.shapes.values())
    element = 2 if sizes.engine.precision == "bf16" else trained[0].element_size()
    return int((len(sizes.loss.objectives) - 1) * tokens * width * element)


def part(size: int, shards: int) -> int:
    """ceil(size / shards)."""
    return -(-size // shards)


def gathered_bytes(model: Any, shards: int, twin: bool = False) -> int:
    """Parameters that are whole at a time where the rest lies in shards; 0 where nothing does.

    Two of the largest layer, the one that computes and the one that is collected meanwhile, and what is around the
    layers (embedding, last norm, head), which stays from the first forward pass of a step to its end; twin: of a second
    model, the reference, too.
    """
    if shards == 1:
        return 0
    inner, outer = _groups(model)
    return 2 * max(map(tensor_bytes, inner)) + (2 if twin else 1) * tensor_bytes(outer)


def reduced_bytes(model: Any) -> int:
    """The memory beside a gradient that is added up over shards. Half precision is added in float32.

    The gradient of the largest group, whole, its copy that is sent, and the copy before, which is freed late.
    """
    inner, outer = _groups(model)
    trained = [[p for p in group if p.requires_grad] for group in (*inner, outer)]
    return max(sum(p.numel() * (p.element_size() + 2 * max(4, p.element_size())) for p in group) for group in trained)


def _groups(model: Any) -> tuple[list[list[torch.nn.Parameter]], list[torch.nn.Parameter]]:
    """The parameters of every layer, and those around the layers: what models/sharding.py collects together."""
    inner = [list(layer.parameters()) for layer in layers(model)]
    known = {id(p) for group in inner for p in group}
    return inner, [p for p in model.parameters() if id(p) not in known]


def resume_bytes(trained_bytes: int, state_bytes: int, carried_bytes: int, kept: int) -> int:
    """resume/ at most: two points of weights, optimizer state and carried rows, and ``kept`` weights of evaluations."""
    return 2 * (trained_bytes + state_bytes + carried_bytes) + kept * trained_bytes
