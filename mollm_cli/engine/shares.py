"""What several processes change in a memory plan: parts in place of whole tensors, and what is whole for a moment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from mollm_cli.engine.memory import tensor_bytes
from mollm_cli.models.forward import layers


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
    inner, outer = groups(model)
    return 2 * max(map(tensor_bytes, inner)) + (2 if twin else 1) * tensor_bytes(outer)


def reduced_bytes(model: Any) -> int:
    """What adding a gradient up over shards takes beside it. Half precision is added in float32.

    The gradient of the largest group, whole, its copy that is sent, and the copy before, which is freed late.
    """
    inner, outer = groups(model)
    return max(sum(p.numel() * (p.element_size() + 2 * sent(p)) for p in _trained(g)) for g in (*inner, outer))


def groups(model: Any) -> tuple[list[list[torch.nn.Parameter]], list[torch.nn.Parameter]]:
    """The parameters of every layer, and those around the layers: what models/sharding.py collects together."""
    inner = [list(layer.parameters()) for layer in layers(model)]
    known = {id(p) for group in inner for p in group}
    return inner, [p for p in model.parameters() if id(p) not in known]


def _trained(parameters: Iterable[torch.nn.Parameter]) -> list[torch.nn.Parameter]:
    return [p for p in parameters if p.requires_grad]


def sent(parameter: torch.nn.Parameter) -> int:
    """Bytes of an element of its gradient on the way: half precision is added up in float32."""
    return max(4, parameter.element_size())
