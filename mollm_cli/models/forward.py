"""A forward pass that computes no more than is read: logits where there is a target, or a hidden layer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol
from weakref import WeakSet

import torch

from mollm_cli.core.chunked import ModuleHead, chunk_rows
from mollm_cli.core.errors import RequestError
from mollm_cli.core.masking import target_positions
from mollm_cli.core.outputs import Outputs
from mollm_cli.core.target_states import TargetStates
from mollm_cli.core.types import Batch
from mollm_cli.models.head import target_states, vocabulary_size


class Frozen(Protocol):
    """A starting model that can be asked for its outputs (models/reference.py)."""

    def states(self, batch: Batch) -> TargetStates | None:
        """The states that enter its head at the targets of ``batch``; None where its head cannot be separated."""

    def logits(self, batch: Batch) -> torch.Tensor:
        """Its logits [N, V] at the targets of ``batch``."""


_TOLD: WeakSet[torch.nn.Module] = WeakSet()
"""Models for which the warning was given that their logits are computed whole."""


@contextmanager
def _head_sees_only(model: torch.nn.Module, sequence: torch.Tensor, position: torch.Tensor) -> Iterator[None]:
    """Within the block the language-model head gets hidden states [1, N, H] at the targets instead of [B, T, H].

    A hook on the head itself, so that whatever the architecture does with the logits afterwards (scaling, soft-capping)
    is done by its own code, on N rows.
    """

    def select(module: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (inputs[0][sequence, position].unsqueeze(0), *inputs[1:])

    head = model.get_output_embeddings()  # type: ignore[operator]
    handle = head.register_forward_pre_hook(select) if head is not None else None
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


def target_logits(model: torch.nn.Module, batch: Batch, positions: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Logits [N, V] at ``positions`` = (sequence [N], position [N]).

    A model without a separate head computes all [B, T, V] of them first, and they are selected afterwards.
    """
    sequence, position = positions
    with _head_sees_only(model, sequence, position):
        logits: torch.Tensor = model(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
        ).logits
    if logits.shape[:2] == (1, len(sequence)):
        return logits[0]
    return logits[sequence, position]


def forward(model: torch.nn.Module, batch: Batch, reference: Frozen | None = None) -> Outputs:
    """The model's outputs at the targets of ``batch``, with the gradient graph of the surrounding context.

    reference: a frozen model, whose outputs are given beside them.

    For more than ``chunk_rows(V)`` targets the outputs are states, from which the logits of one chunk are computed at a
    time. A model whose head cannot be separated gives logits [N, V] all the same, with a warning once.
    """
    sequence, position, labels = target_positions(batch.labels)
    many = len(labels) > chunk_rows(vocabulary_size(model))
    frozen: torch.Tensor | TargetStates | None = None
    if reference is not None:
        frozen = (reference.states(batch) if many else None) or reference.logits(batch)
    said = _many(model, batch, (sequence, position)) if many else target_logits(model, batch, (sequence, position))
    return Outputs(said, labels, sequence, len(batch.ids), frozen)


def _many(model: torch.nn.Module, batch: Batch, positions: tuple[torch.Tensor, torch.Tensor]) -> TargetStates:
    """States; where there are none, logits in their place, so that at least the losses go chunk by chunk."""
    states = target_states(model, batch, positions)
    if states is not None:
        return states
    logits = target_logits(model, batch, positions)
    if model not in _TOLD:
        _TOLD.add(model)
        warnings.warn(
            f"{type(model).__name__} changes its logits behind the head, or names no head: the logits of all "
            f"{len(logits)} targets of a batch are computed at once; "
            "a smaller engine.micro_batch or evaluation.batch_size takes less memory",
            stacklevel=3,
        )
    return TargetStates(logits, ModuleHead(torch.nn.Identity(), logits.shape[-1]))


class _LayerReachedError(Exception):
    """Ends a forward pass once the layer that is read has been reached."""


def layers(model: torch.nn.Module) -> Sequence[torch.nn.Module]:
    """The model's layers in order: its first list of as many modules as the configuration says it has layers.

    Raises RequestError where there is no such list.
    """
    config: Any = model.config
    count = config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return list(module)
    raise RequestError(
        f"a loss that reads hidden states needs a model with a list of its {count} layers, found none in "
        f"{type(model).__name__}; choose a loss that reads logits, e.g. loss=mollm"
    )


def target_hidden(
    model: torch.nn.Module, batch: Batch, positions: tuple[torch.Tensor, torch.Tensor], layer: int
) -> torch.Tensor:
    """The output of layer number ``layer`` (from 0) at ``positions``, [N, H]; the layers above it do not run."""
    reached: list[torch.Tensor] = []

    def stop(module: torch.nn.Module, inputs: Any, output: Any) -> None:
        reached.append(output[0] if isinstance(output, tuple) else output)
        raise _LayerReachedError

    handle = layers(model)[layer].register_forward_hook(stop)
    try:
        with suppress(_LayerReachedError):
            model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False)
    finally:
        handle.remove()
        sharded: Any = model
        if hasattr(sharded, "reset_iter_state"):  # the forward pass of FSDP did not come to its end
            sharded.reset_iter_state()
    return reached[0][positions]


def forward_hidden(
    model: torch.nn.Module, batch: Batch, layer: int, reference_hidden: torch.Tensor | None = None
) -> Outputs:
    """The hidden states of ``layer`` at the positions that the targets of ``batch`` are predicted from; no logits."""
    sequence, position, labels = target_positions(batch.labels)
    hidden = target_hidden(model, batch, (sequence, position), layer)
    logits = hidden.new_empty((len(labels), 0))
    return Outputs(logits, labels, sequence, len(batch.ids), hidden=hidden, reference_hidden=reference_hidden)
