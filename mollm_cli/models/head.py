"""The language-model head apart from the model: the states that enter it, and a test that logits are its output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch

from mollm_cli.core.chunked import LinearHead, ModuleHead
from mollm_cli.core.target_states import TargetStates
from mollm_cli.core.types import Batch

Positions = tuple[torch.Tensor, torch.Tensor]
"""(sequence [N], position [N])."""

PROBE = 1000.0
"""Logits from -PROBE to PROBE stand in for the head's own: a soft-cap, a scale, a mask change some of them."""

_SEPARABLE: WeakKeyDictionary[torch.nn.Module, bool] = WeakKeyDictionary()
"""The outcome of the test for each model: it takes one device synchronisation, and is made once per model."""


def vocabulary_size(model: torch.nn.Module) -> int:
    """V, the number of logits at a position."""
    config: Any = model.config
    return int(config.get_text_config().vocab_size)


def target_states(model: torch.nn.Module, batch: Batch, positions: Positions) -> TargetStates | None:
    """The states that enter the head at ``positions``, with graph, and the head, in autocast's precision.

    None where the head cannot be separated: the model names none, or changes the logits behind it (soft-caps or scales
    them). That shows in the first forward pass, where other logits take the place of the head's; later ones are not
    begun.
    """
    head = model.get_output_embeddings()  # type: ignore[operator]
    if head is None or _SEPARABLE.get(model) is False:
        return None
    with _reading(head, positions) as (read, probes):
        said = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False).logits
    if model not in _SEPARABLE:
        _SEPARABLE[model] = torch.equal(said.float(), probes[0].float())
    return states_with(head, read[0], said.shape[-1]) if _SEPARABLE[model] else None


def states_with(head: torch.nn.Module, hidden: torch.Tensor, vocabulary: int) -> TargetStates:
    """``hidden`` [N, H] and the module that reads it, in the precision of the surrounding autocast."""
    device = hidden.device.type
    precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    if type(head) is torch.nn.Linear and "forward" not in vars(head):  # accelerate puts one there that moves weights
        dtype, stored = precision or head.weight.dtype, tuple(head.parameters())
        weight, bias = head.weight.to(dtype), None if head.bias is None else head.bias.to(dtype)
        return TargetStates(hidden.to(dtype), LinearHead(weight, bias, stored))
    return TargetStates(hidden, ModuleHead(head, vocabulary, precision))


@contextmanager
def _reading(head: torch.nn.Module, positions: Positions) -> Iterator[tuple[list[torch.Tensor], list[torch.Tensor]]]:
    """Within the block the head notes the states [N, H] that enter it at ``positions``, and gives out a probe."""
    read: list[torch.Tensor] = []
    probes: list[torch.Tensor] = []

    def select(module: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        read.append(inputs[0][positions])
        return (inputs[0][:1, :1].detach(), *inputs[1:])

    def replace(module: torch.nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        probe = torch.linspace(-PROBE, PROBE, output.shape[-1], device=output.device)
        probes.append(probe.to(output.dtype).expand_as(output))
        return probes[0]

    handles = (head.register_forward_pre_hook(select), head.register_forward_hook(replace))
    try:
        yield read, probes
    finally:
        for handle in handles:
            handle.remove()
