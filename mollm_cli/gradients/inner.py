"""Inner products of gradients that are kept parameter by parameter: block by block, summed in float64, one transfer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mollm_cli.core.solution import Array

GradientRow = list[torch.Tensor | None]
"""One gradient, one tensor per parameter; None where the objective does not reach it, which counts as zero."""
Sums = Callable[[Array], Array]
"""Inner products of one process's part of gradients -> those of the whole; the identity where it holds all."""
Metric = Callable[[int], torch.Tensor | float]
"""The diagonal of the optimizer's P on parameter k, in its shape; a number where it is the same everywhere."""

BLOCK = 16_384
"""Elements of one float32 dot product on a CPU: a longer one loses digits (1e-4 of |g|^2 at 6 M elements), and
blocks of this size summed in float64 keep 1e-7. They also stay in the cache while all products of a block are taken."""
DEVICE_BLOCK = 2**26
"""The same on a GPU, whose reduction is a tree: there it only bounds the copy of half-precision rows in float32."""


def blocks(tensors: Sequence[torch.Tensor], device: torch.device) -> Iterator[list[torch.Tensor]]:
    """Equally long pieces of equally shaped ``tensors``, flat, on ``device``, all float64 if one is, else float32."""
    dtype = torch.float64 if any(t.dtype == torch.float64 for t in tensors) else torch.float32
    odd = [t.dtype != dtype or t.device != device for t in tensors]
    for pieces in cut([t.reshape(-1) for t in tensors], device):
        if any(odd):
            yield [x.to(device, dtype, non_blocking=True) if o else x for x, o in zip(pieces, odd, strict=True)]
        else:
            yield list(pieces)


def cut(flat: Sequence[torch.Tensor], device: torch.device) -> Iterable[Sequence[torch.Tensor]]:
    """Equally long pieces of ``flat``, of the length that suits ``device``."""
    size = BLOCK if device.type == "cpu" else DEVICE_BLOCK
    return [flat] if flat[0].numel() <= size else zip(*(torch.split(x, size) for x in flat), strict=True)


def combine(weights: Sequence[float], parts: Sequence[torch.Tensor], out: torch.Tensor) -> torch.Tensor:
    """out = sum_i weights_i parts_i, block by block, so that a CPU writes each to memory once; ``out`` is contiguous.

    Sums are rounded to the type of ``out``, as each of ``parts`` is before.
    """
    for total, *pieces in cut([out.view(-1), *(x.reshape(-1) for x in parts)], out.device):
        for n, (weight, piece) in enumerate(zip(weights, pieces, strict=True)):
            piece = piece.to(out.device, out.dtype, non_blocking=True)
            if n == 0:
                torch.mul(piece, weight, out=total)
            else:
                total.add_(piece, alpha=weight)
    return out


def raised(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """``x`` on ``device``, in float32 where it is of half precision; itself where nothing has to change."""
    return x.to(device, torch.promote_types(x.dtype, torch.float32), non_blocking=True)


def inner(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """<a, b> of two equally shaped tensors, a float64 scalar on their device."""
    return torch.stack([torch.dot(x, y) for x, y in blocks([a, b], a.device)]).double().sum()


class ProductTable:
    """A table of inner products, [cells]; each adds up over parameters, and all come from the device at once."""

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self._sums: list[torch.Tensor] = []
        self._places: list[int] = []
        self._scales: list[float] = []

    def add(self, places: Sequence[int], dots: Sequence[torch.Tensor], scale: float = 1.0) -> None:
        """Add scale times the sums over blocks of ``dots`` to the cells ``places``.

        dots: block after block, one per place.
        """
        found = torch.stack(list(dots))
        several = len(dots) > len(places)
        self._sums.append(found.double().view(-1, len(places)).sum(0) if several else found)
        self._places += places
        self._scales += [scale] * len(places)

    def values(self) -> Array:
        """float64 [cells]; one transfer."""
        total = np.zeros(self.cells)
        if self._sums:
            found = torch.cat([x.double() for x in self._sums]).cpu().numpy()
            np.add.at(total, self._places, found * self._scales)
        return total


def grams(
    rows: Sequence[GradientRow],
    parameters: Sequence[torch.Tensor],
    layers: Sequence[int] | None = None,
    metric: Metric | None = None,
    sums: Sums | None = None,
) -> Array:
    """G_ij = g_i . g_j (or g_i' P g_j) of rows [m], one matrix per layer: float64 [L, m, m].

    parameters: those that the rows are gradients of.
    layers: for every parameter, its layer in 0..L-1; None: all are in one.
    metric: P; None: the identity.
    sums: adds up products where the rows are one process's part.

    All m (m + 1) / 2 products of a block are taken while it is in the cache. Nothing is transferred before the end.
    """
    m, count = len(rows), 1 if layers is None else max(layers, default=0) + 1
    table = ProductTable(count * m * m)
    for k, parameter in enumerate(parameters):
        reached = [i for i, row in enumerate(rows) if row[k] is not None]
        if reached:
            parts = [part for row in rows if (part := row[k]) is not None]
            diagonal = 1.0 if metric is None else metric(k)
            begin = 0 if layers is None else layers[k] * m * m
            places = [begin + i * m + j for n, i in enumerate(reached) for j in reached[n:]]
            dots, scale = _products(parts, diagonal, parameter.device)
            table.add(places, dots, scale)
    upper = table.values().reshape(count, m, m)
    gram = upper + np.triu(upper, 1).swapaxes(1, 2)
    return gram if sums is None else sums(gram)


def _products(
    parts: Sequence[torch.Tensor], diagonal: torch.Tensor | float, device: torch.device
) -> tuple[list[torch.Tensor], float]:
    """Products of all pairs i <= j of ``parts`` [r], block after block, and the factor that they still lack."""
    r, weighted = len(parts), isinstance(diagonal, torch.Tensor)
    dots: list[torch.Tensor] = []
    for pieces in blocks([*parts, diagonal] if isinstance(diagonal, torch.Tensor) else parts, device):
        left = [x * pieces[r] for x in pieces[:r]] if weighted else pieces
        dots += [torch.dot(left[i], pieces[j]) for i in range(r) for j in range(i, r)]
    return dots, 1.0 if isinstance(diagonal, torch.Tensor) else diagonal


class ParameterChange:
    """A change of one parameter that is computed block by block: ``formula`` of ``operands``, all of its shape."""

    __slots__ = ("formula", "operands")

    def __init__(self, formula: Callable[..., torch.Tensor], *operands: torch.Tensor) -> None:
        self.formula, self.operands = formula, operands


Changes = Callable[[int], ParameterChange | None]
"""The change of parameter k; None where it does not move."""


def first_order(
    rows: Sequence[GradientRow],
    parameters: Sequence[torch.Tensor],
    changes: Sequence[Changes],
    sums: Sums | None = None,
) -> tuple[Array, NDArray[np.float64]]:
    """g_i . Delta_c, [c, m], and |Delta_c|, [c], of rows [m] and ``changes`` [c]: one pass, one transfer."""
    m, c = len(rows), len(changes)
    table = ProductTable(c * (m + 1))
    for k, parameter in enumerate(parameters):
        found = {n: change for n, of in enumerate(changes) if (change := of(k)) is not None}
        if found:
            reached = {i: part for i, row in enumerate(rows) if (part := row[k]) is not None}
            places = [n * (m + 1) + i for n in found for i in (*reached, m)]
            table.add(places, _against(list(reached.values()), list(found.values()), parameter.device))
    values = table.values().reshape(c, m + 1)
    values = values if sums is None else sums(values)
    return values[:, :m], np.sqrt(values[:, m])


def _against(
    parts: Sequence[torch.Tensor], changes: Sequence[ParameterChange], device: torch.device
) -> list[torch.Tensor]:
    """[part . change..., change . change] of every change in turn, block after block."""
    dots: list[torch.Tensor] = []
    for pieces in blocks([*parts, *(x for change in changes for x in change.operands)], device):
        at = len(parts)
        for change in changes:
            delta = change.formula(*pieces[at : at + len(change.operands)])
            at += len(change.operands)
            dots += [torch.dot(x, delta) for x in (*pieces[: len(parts)], delta)]
    return dots
