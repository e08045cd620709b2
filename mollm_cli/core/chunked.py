"""Functions of each token's logits without the logits of all tokens: chunk by chunk, the gradient in the chunk.

Three ways through one chunk of n rows of the head's input, logits z = head(rows), s = d function / d z:
  forward alone                     function(z)
  the head is frozen                function(z) and at once s W, [n, H]: the backward only scales it
  the head is trained               function(z); the backward computes z and s again, then s W, and s^T rows is added
                                    to the one [V, H] that becomes the head's gradient
The second way is that of Liger Kernel's fused linear losses (arXiv 2410.10989), there for the mean of a loss, here for
any function of a token, since its gradient by a row is a multiple of s W. For a trained head it would keep a [V, H] for
each objective from its forward to its backward, more than the logits themselves of V = 128k, T = 512 and H = 2048.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from mollm_cli.core.target_states import TargetStates, TokenFunction

CHUNK_BYTES = 64 * 2**20
"""The most that float32 logits of one chunk take: 131 tokens at a vocabulary of 128k. Four such tensors exist at a time
in a label's log-probability, five in the KL, six in UNDIAL's distillation (``python -m benchmarks.loss_memory``)."""

Piece = tuple[torch.Tensor, torch.Tensor, "torch.Tensor | None"]
"""Rows [n, H] of the head's input, labels [n], rows of the reference's (its logits, where it gives those)."""


def chunk_rows(vocabulary: int) -> int:
    """Tokens whose logits exist at once, at least 1: float32 [rows, vocabulary] takes CHUNK_BYTES or less.

    Up to so many targets the logits of a batch are computed whole. Raises ValueError.
    """
    if vocabulary < 1:
        raise ValueError(f"the vocabulary must have at least one token, found {vocabulary}")
    return max(1, CHUNK_BYTES // (4 * vocabulary))


@dataclass(frozen=True, slots=True)
class LinearHead:
    """rows W^T + b: rows [n, H], weight W [V, H], bias b [V] or None, all of one type.

    stored: what W and b were cast from, where autocast did; their gradient is then added up in their own type. Of half
    precision weights every chunk's part is rounded as it is added, like a micro-batch's.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None = None
    stored: tuple[torch.Tensor, ...] = ()

    @property
    def vocabulary(self) -> int:
        """V."""
        return len(self.weight)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Logits [n, V]."""
        return torch.nn.functional.linear(rows, self.weight, self.bias)

    @property
    def parameters(self) -> tuple[torch.Tensor, ...]:
        """The parameters that may have a gradient."""
        return self.stored or ((self.weight,) if self.bias is None else (self.weight, self.bias))

    def pull_back(self, rows: torch.Tensor, slope: torch.Tensor, totals: Sequence[torch.Tensor | None]) -> torch.Tensor:
        """From the gradient by the logits, ``slope``, to that by ``rows``; that by the parameters is added in place."""
        weight, bias = (*totals, None, None)[:2]
        if weight is not None and weight.dtype == slope.dtype:
            weight.addmm_(slope.t(), rows)
        elif weight is not None:
            weight.add_(slope.t() @ rows)
        if bias is not None:
            bias.add_(slope.sum(0))
        return slope @ self.weight


@dataclass(frozen=True, slots=True)
class ModuleHead:
    """Any other module: automatic differentiation, and a second [V, H] while a chunk's gradient is added.

    vocabulary: V. precision: the type of the autocast that it runs under, None for none.
    """

    module: torch.nn.Module
    vocabulary: int
    precision: torch.dtype | None = None

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Logits [n, V]."""
        enabled = self.precision is not None
        with torch.autocast(rows.device.type, self.precision, enabled=enabled, cache_enabled=False):
            logits: torch.Tensor = self.module(rows)
        return logits

    @property
    def parameters(self) -> tuple[torch.Tensor, ...]:
        """The parameters that have a gradient."""
        return tuple(p for p in self.module.parameters() if p.requires_grad)

    def pull_back(self, rows: torch.Tensor, slope: torch.Tensor, totals: Sequence[torch.Tensor | None]) -> torch.Tensor:
        """As LinearHead's."""
        wanted = [(p, total) for p, total in zip(self.parameters, totals, strict=False) if total is not None]
        with torch.enable_grad():
            leaf = rows.detach().requires_grad_()
            ours, *theirs = torch.autograd.grad(self(leaf), [leaf, *(p for p, _ in wanted)], slope)
        for gradient, (_, total) in zip(theirs, wanted, strict=True):
            total.add_(gradient)
        return ours


@dataclass(frozen=True, slots=True)
class _Work:
    """A function and the heads that it is applied with to every chunk of ``size`` tokens."""

    function: TokenFunction
    head: Any
    reference_head: Callable[[torch.Tensor], torch.Tensor] | None
    size: int

    def pieces(self, hidden: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor | None) -> Iterator[Piece]:
        frozen = repeat(None) if reference is None else torch.split(reference, self.size)
        return zip(torch.split(hidden, self.size), torch.split(labels, self.size), frozen, strict=False)

    @torch.no_grad()
    def values(self, piece: Piece) -> torch.Tensor:
        rows, labels, _ = piece
        return self.function(self.head(rows), labels, self._reference(piece))

    @torch.no_grad()
    def gradient(
        self, piece: Piece, weights: torch.Tensor | None, totals: Sequence[torch.Tensor | None]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The values [n], and the gradient by the rows [n, H] of their sum, weighted by ``weights`` [n] if given.

        That by the head's parameters is added to ``totals``.
        """
        rows, labels, _ = piece
        frozen, logits = self._reference(piece), self.head(rows).detach().requires_grad_()
        with torch.enable_grad():
            values = self.function(logits, labels, frozen)
        (slope,) = torch.autograd.grad(values, logits, torch.ones_like(values) if weights is None else weights)
        back: torch.Tensor = self.head.pull_back(rows, slope, totals)
        return values.detach(), back

    def _reference(self, piece: Piece) -> torch.Tensor | None:
        rows = piece[2]
        return rows if rows is None or self.reference_head is None else self.reference_head(rows)


class _Chunked(torch.autograd.Function):
    """The values [N]; the gradient by ``hidden`` and by the head's parameters."""

    @staticmethod
    def forward(
        ctx: Any,
        work: _Work,
        labels: torch.Tensor,
        reference: torch.Tensor | None,
        hidden: torch.Tensor,
        *parameters: torch.Tensor,
    ) -> torch.Tensor:
        trained, pieces = any(ctx.needs_input_grad[4:]), work.pieces(hidden, labels, reference)
        ctx.work, ctx.ahead = work, ctx.needs_input_grad[3] and not trained and isinstance(work.head, LinearHead)
        if not ctx.ahead:
            ctx.save_for_backward(labels, reference, hidden, *parameters)
            return torch.cat([work.values(piece) for piece in pieces])
        values, gradients = zip(*(work.gradient(piece, None, ()) for piece in pieces), strict=True)
        ctx.parameters = len(parameters)
        ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = grad_outputs
        if ctx.ahead:
            (unit,) = ctx.saved_tensors
            return None, None, None, (unit * gradient[:, None]).to(unit.dtype), *[None] * ctx.parameters
        work: _Work = ctx.work
        labels, reference, hidden, *parameters = ctx.saved_tensors
        needed = ctx.needs_input_grad[4:]
        totals = [torch.zeros_like(p) if wanted else None for p, wanted in zip(parameters, needed, strict=True)]
        parts = zip(work.pieces(hidden, labels, reference), torch.split(gradient, work.size), strict=True)
        rows = [work.gradient(piece, weights, totals)[1] for piece, weights in parts]
        return None, None, None, torch.cat(rows), *totals


def chunked(
    function: TokenFunction, said: TargetStates, labels: torch.Tensor, reference: TargetStates | torch.Tensor | None
) -> torch.Tensor:
    """``function`` of the logits that ``said`` gives, [N], with the graph of ``said``; no two chunks exist at a time.

    The reference has no gradient, and no more than a chunk of its logits exists either, where it is given as states.
    Raises TypeError where a gradient is wanted of a head that does not say its own.
    """
    frozen = reference.hidden if isinstance(reference, TargetStates) else reference
    work = _Work(function, said.head, reference.head if isinstance(reference, TargetStates) else None, _size(said))
    if not torch.is_grad_enabled():
        return torch.cat([work.values(piece) for piece in work.pieces(said.hidden, labels, frozen)])
    if not isinstance(said.head, LinearHead | ModuleHead):
        raise TypeError(f"states with a gradient need a LinearHead or a ModuleHead, found {type(said.head).__name__}")
    parameters = said.head.parameters
    values: torch.Tensor = _Chunked.apply(work, labels, frozen, said.hidden, *parameters)  # type: ignore[no-untyped-call]
    return values


def _size(said: TargetStates) -> int:
    """Tokens a chunk: no more than ``chunk_rows``, and all chunks about as long."""
    head, count = said.head, max(1, len(said.hidden))
    vocabulary = getattr(head, "vocabulary", None) or head(said.hidden[:1]).shape[-1]
    return math.ceil(count / math.ceil(count / chunk_rows(vocabulary)))
