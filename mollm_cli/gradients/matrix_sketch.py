"""The sketch of a weight matrix's gradient from its two factors, so that the gradient itself need not be made."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import isqrt

import numpy as np
import torch
from torch.nn import functional

from mollm_cli.core.solution import Array
from mollm_cli.gradients.sketch import AT_ONCE, SEED, CountSketch


class Fold:
    """u -> u P, R^size -> R^side, with P the matrix of a count sketch: E[(u P).(v P)] = u.v.

    An axis is cut into rows of ``side`` elements; each is multiplied by random signs and rotated, then all are added
    up. Two elements of one row never meet, others with probability 1 / side at the most. An axis that is not longer
    than ``side`` stays exact.
    """

    def __init__(self, size: int, side: int, generator: torch.Generator, device: torch.device) -> None:
        self.size, self.side = size, min(side, size)
        rows = -(-size // self.side)
        rotations = torch.randint(0, self.side, (rows,), generator=generator)
        signs = torch.randint(0, 2, (rows, self.side), generator=generator, dtype=torch.int8)
        self.rotations = rotations.tolist()
        self.signs = (2 * signs - 1).float().to(device)
        places = (torch.arange(self.side) - rotations[:, None]) % self.side
        self.places = places.to(device)

    def __call__(self, x: torch.Tensor, dtype: torch.dtype, start: int = 0) -> torch.Tensor:
        """x [N, n], columns of an [N, size] matrix from ``start`` on -> its part of x P, [N, side], in ``dtype``."""
        return self.by_rows(x, dtype, start) if x.device.type == "cpu" else self.at_once(x, dtype, start)

    def by_rows(self, x: torch.Tensor, dtype: torch.dtype, start: int = 0) -> torch.Tensor:
        """Row by row and in place, into two laps of the buckets."""
        out = x.new_zeros((len(x), 2 * self.side), dtype=dtype)
        row, column = divmod(start, self.side)
        head, tail = x[:, : self.side - column], x[:, self.side - column :]
        pieces = [piece for piece in (head, *torch.split(tail, self.side, dim=1)) if piece.shape[1]]
        for k, piece in enumerate(pieces, row):
            begin, width = column if k == row else 0, piece.shape[1]
            at = (self.rotations[k] + begin) % self.side
            signs = self.signs[k, begin : begin + width].to(dtype)
            out[:, at : at + width].addcmul_(piece.to(dtype), signs)
        return out[:, : self.side].add_(out[:, self.side :])

    def at_once(self, x: torch.Tensor, dtype: torch.dtype, start: int = 0) -> torch.Tensor:
        """All rows in a few kernels, without atomic additions: the same sums at every call."""
        row, column = divmod(start, self.side)
        rows = -(-(column + x.shape[1]) // self.side)
        whole = functional.pad(x, (column, rows * self.side - column - x.shape[1])).view(len(x), rows, self.side)
        places = self.places[row : row + rows]
        signs = self.signs[row : row + rows].gather(1, places).to(x.dtype)
        return (whole.gather(2, places.expand(len(x), -1, -1)) * signs).sum(1, dtype=dtype)


class MatrixSketch(CountSketch):
    """A ``CountSketch`` in which a weight matrix G [r, c] takes part as its block P' G Q, of ``side`` x ``side``.

    P and Q are count sketches of the two axes (``Fold``), so of G = L' R, L [N, r] and R [N, c] a linear layer's
    cotangents and inputs, the block is (L P)' (R Q): N side^2 products in place of N r c. side = sqrt(buckets) / 2.

    Linear and unbiased. To the variance that s(a).s(b) has of a ``CountSketch`` every matrix k adds at most
    (2 / p + 2 / q + 4 / (p q)) |a_k|^2 |b_k|^2, p and q its block's sides, nothing for an axis that is not longer
    (by the variance of tr(M P P') for one side after the other). The bound is met where both gradients are of rank one
    and lie in one matrix; over many matrices errors average out: see ``error_of``.
    """

    def __init__(
        self,
        shapes: Sequence[torch.Size],
        matrices: Collection[int],
        buckets: int,
        device: torch.device,
        starts: Sequence[int] | None = None,
        seed: int = SEED,
    ) -> None:
        """Draw the map.

        shapes: of every parameter.
        matrices: the parameters that take part as blocks.
        starts: as in ``CountSketch``.
        """
        generator = torch.Generator().manual_seed(seed + 1)  # other numbers than those of the buckets
        side = max(1, isqrt(buckets) // 2)
        self.folds = {
            k: (Fold(shapes[k][0], side, generator, device), Fold(shapes[k][1], side, generator, device))
            for k in sorted(matrices)
        }
        begun = [0] * len(shapes) if starts is None else starts
        sizes = [self._size(k, shape) for k, shape in enumerate(shapes)]
        super().__init__(sizes, buckets, device, [0 if k in self.folds else at for k, at in enumerate(begun)], seed)
        self.first_rows = {k: begun[k] // shapes[k][1] for k in self.folds}

    def _size(self, k: int, shape: torch.Size) -> int:
        return self.folds[k][0].side * self.folds[k][1].side if k in self.folds else shape.numel()

    @property
    def matrices(self) -> Collection[int]:
        """Parameters that take part as blocks."""
        return self.folds.keys()

    @torch.no_grad()
    def add(self, totals: torch.Tensor, k: int, x: torch.Tensor) -> None:
        """totals [buckets] += s(x), with ``x`` in the place of parameter ``k``, or of this process's part of it."""
        self.put(totals, k, self.image(k, x, totals.dtype))

    @torch.no_grad()
    def add_product(self, totals: torch.Tensor, k: int, left: torch.Tensor, right: torch.Tensor) -> None:
        """totals [buckets] += s(left' right), of left [N, r] and right [N, c], in the place of matrix ``k``."""
        rows, columns = self.folds[k]
        self.put(totals, k, rows(left, totals.dtype).T @ columns(right, totals.dtype))

    def put(self, totals: torch.Tensor, k: int, image: torch.Tensor) -> None:
        """Add the image of a tensor to the buckets."""
        super().add(totals, k, image)

    def image(self, k: int, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """The block of matrix ``k``, of which ``x`` is this process's part; any other tensor is its own image."""
        if k not in self.folds:
            return x
        rows, columns = self.folds[k]
        block, at = x.new_zeros((columns.side, rows.side), dtype=dtype), self.first_rows[k]
        for piece in torch.split(x, max(1, AT_ONCE // x.shape[1])):
            block += rows(columns(piece, dtype).T.contiguous(), dtype, at)
            at += len(piece)
        return block.T

    def error_of(self, squares: Array, total: float) -> float:
        """The standard error of s(a).s(b) over |a||b|, at the most, for b with |b_k|^2 = squares[k] and |b|^2 = total.

        squares: one per matrix. The bound holds for any a, since sum_k |a_k|^2 |b_k|^2 <= |a|^2 max_k |b_k|^2.
        """
        shares = [self.spread(k) * float(square) for k, square in zip(self.folds, squares, strict=True)]
        blocks = max(shares, default=0.0) / total if total > 0 else 0.0
        return float(np.sqrt(self.error**2 * (1 + blocks) + blocks))

    def spread(self, k: int) -> float:
        """The share of |a_k|^2 |b_k|^2 that the block of matrix ``k`` adds at most to the variance of s(a).s(b)."""
        p, q = (2 / fold.side if fold.side < fold.size else 0.0 for fold in self.folds[k])
        return p + q + p * q
