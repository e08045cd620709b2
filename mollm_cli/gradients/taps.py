"""Linear layers that hand over the two factors of their weight's gradient in place of the gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from transformers.pytorch_utils import Conv1D


class Factors(NamedTuple):
    """The gradient left' right of a weight: left [N, r], right [N, c], of which one is the cotangent of the output."""

    left: torch.Tensor
    right: torch.Tensor
    cotangent_left: bool


Take = Callable[[int, Factors], None]
"""Takes the factors of parameter k."""


class Taps:
    """The linear layers of ``model`` whose weight is one of ``parameters``; the head is not one of them.

    While they are ``open``, their forward pass is ``functional.linear`` with a backward pass of its own. Without
    ``take`` that makes the same gradients; with it a weight gets no gradient, and its factors go to ``take``. Layers
    that other code runs in its own way stay out: compiled ones, and those whose ``forward`` has been replaced.
    """

    def __init__(self, model: Any, parameters: Sequence[torch.nn.Parameter]) -> None:
        index = {id(p): k for k, p in enumerate(parameters)}
        head = model.get_output_embeddings()
        self.take: Take | None = None
        self.layers = [
            (module, index[id(module.weight)])
            for module in _eager(model)
            if type(module) in (torch.nn.Linear, Conv1D) and module is not head and id(module.weight) in index
            if "forward" not in vars(module)
        ]

    @property
    def matrices(self) -> frozenset[int]:
        """The numbers of the parameters that are their weights."""
        return frozenset(k for _, k in self.layers)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Open for a whole step, so that a checkpointed layer computes the same again in its backward pass."""
        for module, k in self.layers:
            module.forward = partial(_forward, self, k, module)
        try:
            yield
        finally:
            for module, _ in self.layers:
                del module.forward

    @contextmanager
    def taking(self, take: Take) -> Iterator[None]:
        """Within the block backward passes hand over factors."""
        self.take = take
        try:
            yield
        finally:
            self.take = None


def _eager(module: Any) -> Iterator[Any]:
    """``module`` and the modules within, but for those that torch.compile runs."""
    if getattr(module, "_compiled_call_impl", None) is None:
        yield module
        for child in module.children():
            yield from _eager(child)


def _forward(taps: Taps, k: int, module: Any, x: torch.Tensor) -> torch.Tensor:
    """The layer's output; in the precision of the surrounding autocast, as ``functional.linear`` is."""
    turned = isinstance(module, Conv1D)
    weight, bias = module.weight.T if turned else module.weight, module.bias
    device = x.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    out: torch.Tensor = _Linear.apply(x, weight, bias, taps, k, turned)  # type: ignore[no-untyped-call]
    return out


class _Linear(torch.autograd.Function):
    """y = x W' + b; of the loss's cotangent D of y: D W, D' x (or the factors D, x of it), and sum D."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, taps: Taps, k: int, turned: bool) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.told = (taps, k, turned)
        return functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, cotangent: Any) -> Any:
        x, weight = ctx.saved_tensors
        taps, k, turned = ctx.told
        of_x, of_weight, of_bias = ctx.needs_input_grad[:3]
        given, seen = cotangent.reshape(-1, cotangent.shape[-1]), x.reshape(-1, x.shape[-1])
        changed = None
        if of_weight and taps.take is None:
            changed = given.T @ seen
        elif of_weight:
            taps.take(k, Factors(seen, given, False) if turned else Factors(given, seen, True))
        return (
            (cotangent @ weight) if of_x else None,
            changed,
            given.sum(0) if of_bias else None,
            None,
            None,
            None,
        )
