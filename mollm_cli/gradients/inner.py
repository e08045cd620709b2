"""Inner products of gradients that are kept parameter by parameter: block by block, summed in float64, one transfer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mollm_cli.core.solution import Array

Row = list[torch.Tensor | None]
"""One gradient, a tensor a parameter; None where the objective does not reach it, which counts as zero."""
Sums = Callable[[Array], Array]
"""Inner products of a process's part of gradients -> those of all of them; nothing where it holds all."""
Metric = Callable[[int], torch.Tensor | float]
"""The diagonal of the optimizer's P on parameter k, in its shape; a number where it is the same everywhere."""

BLOCK = 16_384
"""Elements of one float32 dot product on a CPU: a longer one loses digits (1e-4 of |g|^2 at 6 M elements), and
blocks of this size summed in float64 keep 1e-7. They also stay in the cache while all products of a block are taken."""
DEVICE_BLOCK = 2**26
"""The same on a GPU, whose reduction is a tree: it only bounds what is raised from half precision at one time."""


def blocks(tensors: Sequence[torch.Tensor], device: torch.device) -> Iterator[list[torch.Tensor]]:
    """Equally long pieces of equally shaped ``tensors``, flat, on ``device``, all float64 if one is, else float32."""
    size = BLOCK if device.type == "cpu" else DEVICE_BLOCK
    dtype = torch.float64 if any(t.dtype == torch.float64 for t in tensors) else torch.float32
    odd = [t.dtype != dtype or t.device != device for t in tensors]
    flat = [t.reshape(-1) for t in tensors]
    whole = flat[0].numel() <= size
    for pieces in [flat] if whole else zip(*(torch.split(t, size) for t in flat), strict=True):
        if any(odd):
            yield [x.to(device, dtype, non_blocking=True) if o else x for x, o in zip(pieces, odd, strict=True)]
        else:
            yield list(pieces)


def raised(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """``x`` on ``device``, in float32 where it is of half precision; itself where nothing has to change."""
    return x.to(device, torch.float32 if x.element_size() < 4 else x.dtype, non_blocking=True)


def inner(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """<a, b> of two equally shaped tensors, a float64 scalar on their device."""
    return _summed([torch.dot(x, y) for x, y in blocks([a, b], a.device)], 1)[0]


def grams(
    rows: Sequence[Row],
    parameters: Sequence[torch.Tensor],
    layers: Sequence[int] | None = None,
    metric: Metric | None = None,
    sums: Sums | None = None,
) -> Array:
    """G_ij = g_i . g_j (or g_i' P g_j) of rows [m], one matrix a layer: float64 [L, m, m].

    parameters: what the rows are gradients of. layers: of every parameter, its layer in 0..L-1; None: all in one. All
    m (m + 1) / 2 products of a block are taken while it is in the cache. Nothing is transferred before the end.
    """
    m, upper = len(rows), _pairs(len(rows))
    totals: dict[int, torch.Tensor] = {}
    for k, parameter in enumerate(parameters):
        reached = {i: part for i, row in enumerate(rows) if (part := row[k]) is not None}
        if not reached:
            continue
        diagonal = None if metric is None else metric(k)
        found = _spread(_products(list(reached.values()), diagonal, parameter.device), list(reached), m)
        layer = 0 if layers is None else layers[k]
        totals[layer] = totals[layer].add_(found) if layer in totals else found
    gram = np.zeros((1 if layers is None else max(layers, default=0) + 1, m, m))
    if totals:
        values = torch.stack(list(totals.values())).cpu().numpy()
        for layer, products in zip(totals, values, strict=True):
            for (i, j), value in zip(upper, products, strict=True):
                gram[layer, i, j] = gram[layer, j, i] = value
    return gram if sums is None else sums(gram)


def _products(
    parts: Sequence[torch.Tensor], diagonal: torch.Tensor | float | None, device: torch.device
) -> torch.Tensor:
    """Products of all pairs i <= j of ``parts`` [r], float64 [r (r + 1) / 2]."""
    pairs, r = _pairs(len(parts)), len(parts)
    weighted = isinstance(diagonal, torch.Tensor)
    dots: list[torch.Tensor] = []
    for pieces in blocks([*parts, diagonal] if isinstance(diagonal, torch.Tensor) else parts, device):
        left = [x * pieces[r] for x in pieces[:r]] if weighted else pieces
        dots += [torch.dot(left[i], pieces[j]) for i, j in pairs]
    found = _summed(dots, len(pairs))
    return found if weighted or diagonal is None else found.mul_(diagonal)


def _spread(products: torch.Tensor, reached: Sequence[int], m: int) -> torch.Tensor:
    """``products`` of the rows ``reached`` as those of all m rows; 0 where one of a pair does not reach."""
    if len(reached) == m:
        return products
    zero = torch.zeros_like(products[0])
    known = {(reached[a], reached[b]): products[n] for n, (a, b) in enumerate(_pairs(len(reached)))}
    return torch.stack([known.get(pair, zero) for pair in _pairs(m)])


def _summed(dots: Sequence[torch.Tensor], count: int) -> torch.Tensor:
    """The sums of every ``count``-th of ``dots``, float64 [count]."""
    return torch.stack(list(dots)).double().view(-1, count).sum(0)


def _pairs(m: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(m) for j in range(i, m)]


class Change:
    """A change of one parameter that is computed block by block: ``formula`` of ``operands``, all of its shape."""

    __slots__ = ("formula", "operands")

    def __init__(self, formula: Callable[..., torch.Tensor], *operands: torch.Tensor) -> None:
        self.formula, self.operands = formula, operands


Changes = Callable[[int], Change | None]
"""The change of parameter k; None where it does not move."""


def first_order(
    rows: Sequence[Row], parameters: Sequence[torch.Tensor], changes: Sequence[Changes], sums: Sums | None = None
) -> tuple[Array, NDArray[np.float64]]:
    """g_i . Delta_c, [c, m], and |Delta_c|, [c], for rows [m] and ``changes`` [c]: one pass, one transfer."""
    m, c = len(rows), len(changes)
    total: torch.Tensor | None = None
    for k, parameter in enumerate(parameters):
        found = [change(k) for change in changes]
        parts = [row[k] for row in rows]
        if any(change is not None for change in found):
            products = _against(parts, found, parameter.device)
            total = products if total is None else total.add_(products)
    values = np.zeros((c, m + 1)) if total is None else total.cpu().numpy().reshape(c, m + 1)
    values = values if sums is None else sums(values)
    return values[:, :m], np.sqrt(values[:, m])


def _against(
    parts: Sequence[torch.Tensor | None], changes: Sequence[Change | None], device: torch.device
) -> torch.Tensor:
    """[part . change..., change . change] of every change in turn, float64."""
    present = [part for part in parts if part is not None]
    known = [change for change in changes if change is not None]
    operands = [x for change in known for x in change.operands]
    dots: list[torch.Tensor] = []
    for pieces in blocks([*present, *operands], device):
        taken, at = pieces[: len(present)], len(present)
        for change in known:
            delta = change.formula(*pieces[at : at + len(change.operands)])
            at += len(change.operands)
            dots += [torch.dot(x, delta) for x in taken]
            dots.append(torch.dot(delta, delta))
    sums = iter(_summed(dots, len(known) * (len(present) + 1)).unbind())
    zero = torch.zeros((), dtype=torch.float64, device=device)
    lines = [
        zero if change is None or (i < len(parts) and parts[i] is None) else next(sums)
        for change in changes
        for i in range(len(parts) + 1)
    ]
    return torch.stack(lines)
