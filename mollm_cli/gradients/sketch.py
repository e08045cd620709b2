"""A gradient as some thousand sums of its elements with random signs, from which inner products can be told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

SEED = 20_250_403
"""One seed for every run, so that a resumed run goes on with the same map."""
TABLE = 16
"""Random signs that are kept, in multiples of ``buckets``; windows of them serve all rows of elements."""
AT_ONCE = 2**22
"""Elements that a GPU takes at a time."""
SPREAD = 1.25
"""The variance over that of fully random signs, at the most: the price of taking signs from windows of one table."""


class CountSketch:
    """s: R^n -> R^buckets, linear: E[s(a).s(b)] = a.b, Var[s(a).s(b)] <= 1.25 (|a|^2|b|^2 + (a.b)^2) / buckets.

    Every parameter is cut into rows of ``buckets`` elements. A row is multiplied by random signs, rotated by a random
    number of places, and added up: two elements meet in a bucket with probability 1 / buckets at the most (never in one
    row), then with independent signs. Nothing as long as a parameter is kept, only two numbers and a sign a row; the
    signs are windows of one table of 17 ``buckets``, which makes two rows share a rotation and a window now and then:
    the factor 1.25. (The fully random map is the count sketch of Charikar, Chen and Farach-Colton 2002; its bound is
    without that factor.) Being linear, it adds up over micro-batches and over shards. ``buckets`` of 65,536: an inner
    product is off by 0.6 % of |a||b| at the most (standard error), a million: 0.15 %.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        buckets: int,
        device: torch.device,
        starts: Sequence[int] | None = None,
        seed: int = SEED,
    ) -> None:
        """Draw the map.

        sizes: the elements of every parameter, in their order.
        starts: for every parameter, the first of its elements that ``add`` is given; None: the first one. By them the
            sketches of all parts of a tensor add up to its own.
        """
        generator = torch.Generator().manual_seed(seed)
        self.buckets, self.device = buckets, device
        signs = torch.randint(0, 2, ((TABLE + 1) * buckets,), generator=generator, dtype=torch.int8)
        self.table = (2 * signs - 1).float().to(device)
        self.plans = [self._plan(-(-size // buckets), generator) for size in sizes]
        self.starts = [0] * len(sizes) if starts is None else list(starts)

    def _plan(self, rows: int, generator: torch.Generator) -> torch.Tensor:
        """Rotation, window and sign of each row of a parameter, int64 [3, rows]."""
        rotations = torch.randint(0, self.buckets, (rows,), generator=generator)
        windows = torch.randint(0, TABLE * self.buckets, (rows,), generator=generator)
        return torch.stack([rotations, windows, 2 * torch.randint(0, 2, (rows,), generator=generator) - 1])

    @property
    def error(self) -> float:
        """The standard error of an inner product over |a||b|, at the most: that of two tensors of one direction."""
        return float(np.sqrt(2 * SPREAD / self.buckets))

    @torch.no_grad()
    def add(self, totals: torch.Tensor, k: int, x: torch.Tensor) -> None:
        """totals [buckets] += s(x), with ``x`` in the place of parameter ``k``."""
        if x.device.type == "cpu":
            self.add_by_rows(totals, k, x)
        else:
            self.add_at_once(totals, k, x)

    def add_by_rows(self, totals: torch.Tensor, k: int, x: torch.Tensor) -> None:
        """Row by row and in place: the totals and a window of signs stay in a CPU's cache."""
        begun, column = divmod(self.starts[k], self.buckets)
        flat, plan = x.reshape(-1), self.plans[k].T.tolist()[begun:]
        head, tail = flat[: self.buckets - column], flat[self.buckets - column :]
        rows = [head, *torch.split(tail, self.buckets)]
        if plan:  # the rest of a row that another process begins
            plan[0] = [(plan[0][0] + column) % self.buckets, plan[0][1] + column, plan[0][2]]
        for row, (rotation, window, sign) in zip((row for row in rows if len(row)), plan, strict=False):
            values, signs = row.to(totals.dtype), self.table[window : window + len(row)].to(totals.dtype)
            first = min(len(row), self.buckets - rotation)
            totals[rotation : rotation + first].addcmul_(values[:first], signs[:first], value=sign)
            if first < len(row):
                totals[: len(row) - first].addcmul_(values[first:], signs[first:], value=sign)

    def add_at_once(self, totals: torch.Tensor, k: int, x: torch.Tensor) -> None:
        """Many rows in a few kernels, without atomic additions: the same sums at every call."""
        if not x.numel():
            return
        rows = max(1, AT_ONCE // self.buckets)
        columns = torch.arange(self.buckets, device=x.device)
        begun, column = divmod(self.starts[k], self.buckets)
        flat = functional.pad(x.reshape(-1), (column, 0)) if column else x.reshape(-1)
        ended = begun + -(-len(flat) // self.buckets)
        plan = self.plans[k][:, begun:ended].to(x.device, non_blocking=True)
        for piece, (rotation, window, sign) in zip(
            torch.split(flat, rows * self.buckets),
            (part.unsqueeze(-1).unbind() for part in torch.split(plan, rows, dim=1)),
            strict=True,
        ):
            whole = functional.pad(piece.to(totals.dtype), (0, len(rotation) * self.buckets - len(piece)))
            place = (columns - rotation) % self.buckets
            signs = self.table[window + place].to(totals.dtype) * sign
            totals.add_((whole.view(-1, self.buckets).gather(1, place) * signs).sum(0))
