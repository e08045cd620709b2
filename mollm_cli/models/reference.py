"""The frozen starting model that objectives compare with."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal

import torch

from mollm_cli.core.masking import target_positions
from mollm_cli.core.target_states import TargetStates
from mollm_cli.core.types import Batch
from mollm_cli.models.forward import target_hidden, target_logits
from mollm_cli.models.head import states_with, target_states, vocabulary_size
from mollm_cli.models.model_settings import Model
from mollm_cli.models.reference_cache import Forward, StateCache
from mollm_cli.models.sharding import frozen_head, frozen_twin, is_sharded

Kind = Literal["none", "copy", "adapter_off", "cache"]


class Reference:
    """The starting model's states and logits, or a hidden layer, at the targets of a batch, without a graph.

    model: the model at its start.
    kind: "copy": a second frozen model. "adapter_off": the same one with its adapter disabled. "cache": its stored
        states and its head; a frozen copy of the head is kept only where the model's own is trained (an embedding that
        is tied to it, an adapter on it).

    Raises ValueError for "adapter_off" on a model without an adapter, and for "cache" without ``cache``.
    """

    def __init__(self, model: Any, kind: Kind, cache: StateCache | None = None) -> None:
        self.kind: Kind = kind
        self.cache = cache
        self._switch: Any = nullcontext
        self._model: Any = model
        self._head: Any = None
        if kind == "adapter_off":
            if not hasattr(model, "disable_adapter"):
                raise ValueError("reference 'adapter_off' needs a model with an adapter; set model.adapter=lora")
            self._switch = model.disable_adapter
        elif kind == "copy":
            twin = frozen_twin if is_sharded(model) else copy.deepcopy
            self._model = twin(model).eval().requires_grad_(False)
        elif kind == "cache":
            if cache is None:
                raise ValueError("reference 'cache' needs the states of the starting model, found none")
            self._head = _frozen_head(model) if cache.layer is None else None

    @property
    def bytes(self) -> int:
        """The memory that it takes beside the model."""
        if self.cache is None:
            return tensor_bytes(self._model) if self.kind == "copy" else 0
        own = self._head is not None and self._head is not self._model.get_output_embeddings()
        return self.cache.memory_bytes + (tensor_bytes(self._head) if own else 0)

    @property
    def facts(self) -> dict[str, Any]:
        """Its entry in the manifest; files are those that this run reads, and that other runs may read."""
        facts: dict[str, Any] = {"kind": self.kind, "bytes": self.bytes, "disk_bytes": 0}
        if self.cache is not None:
            facts |= {"disk_bytes": self.cache.disk_bytes, "rows": self.cache.rows, "filled": self.cache.filled}
            facts |= {"files": [str(file) for file in self.cache.files]}
        return facts

    @torch.no_grad()
    def states(self, batch: Batch) -> TargetStates | None:
        """The states that enter the head at the targets of ``batch``, [N, H], and the head; None if inseparable."""
        if self.cache is not None:
            return states_with(self._head, self.cache.states(batch), vocabulary_size(self._model))
        sequence, position, _ = target_positions(batch.labels)
        with self._switch():
            states = target_states(self._model, batch, (sequence, position))
        return states if states is None else TargetStates(states.hidden, self._frozen(states.head))

    @torch.no_grad()
    def logits(self, batch: Batch) -> torch.Tensor:
        """Logits [N, V] at the targets of ``batch``."""
        states = self.states(batch) if self.cache is not None else None
        if states is not None:
            return states.logits
        sequence, position, _ = target_positions(batch.labels)
        with self._switch():
            return target_logits(self._model, batch, (sequence, position))

    @torch.no_grad()
    def hidden(self, batch: Batch, layer: int) -> torch.Tensor:
        """Hidden states [N, H] of ``layer`` where ``logits`` would be read."""
        if self.cache is not None:
            return self.cache.states(batch)
        sequence, position, _ = target_positions(batch.labels)
        with self._switch():
            return target_hidden(self._model, batch, (sequence, position), layer)

    def _frozen(self, head: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
        """``head`` without the adapter, also when it is called later."""
        if self.kind != "adapter_off":
            return head

        def switched(rows: torch.Tensor) -> torch.Tensor:
            with self._switch():
                return head(rows)

        return switched


def starting_states(model: Any, forward: Forward) -> Callable[[Batch], torch.Tensor]:
    """A function that fills a StateCache: the states [N, H] of ``model`` at the time of the call, without a graph.

    It raises ValueError for a model whose head cannot be separated.
    """

    @torch.no_grad()
    def states_of(batch: Batch) -> torch.Tensor:
        training = model.training
        model.eval()
        sequence, position, _ = target_positions(batch.labels)
        try:
            with torch.autocast(forward.device, torch.bfloat16, enabled=forward.bf16):
                if forward.layer is not None:
                    return target_hidden(model, batch, (sequence, position), forward.layer)
                states = target_states(model, batch, (sequence, position))
        finally:
            model.train(training)
        if states is None:
            raise ValueError(f"the head of {type(model).__name__} cannot be separated from what comes behind it")
        return states.hidden

    return states_of


def reference_kind(description: Model, needed: bool) -> Kind:
    """The kind of reference that ``description`` asks for; "none" where no objective needs one."""
    if not needed:
        return "none"
    if description.reference == "auto":
        # Switching an adapter off gives the starting model only where the adapter is new.
        fresh = description.adapter != "none" and description.adapter_path is None
        return "adapter_off" if fresh else "cache"
    return description.reference


def tensor_bytes(module: Any, trained: bool = False) -> int:
    """The memory of the parameters of ``module``; ``trained``: of those that are trained only."""
    return sum(p.numel() * p.element_size() for p in module.parameters() if p.requires_grad or not trained)


def _frozen_head(model: Any) -> torch.nn.Module | None:
    """The model's head, or a frozen copy where any weight of it is trained or a shard; None where it names none."""
    if is_sharded(model):
        return frozen_head(model)
    head: torch.nn.Module | None = model.get_output_embeddings()
    if head is None or not any(p.requires_grad for p in head.parameters()):
        return head
    return copy.deepcopy(head).eval().requires_grad_(False)
