"""Encoded rows as right-padded batches, in an order that is a pure function of seed and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mollm_cli.core.types import IGNORE, Batch, Encoded
from mollm_cli.data.mixture import Share, drawn
from mollm_cli.data.order import bucketed, shuffled


def collate(encoded: Sequence[Encoded], pad_id: int) -> Batch:
    """``encoded`` [B] as int64 tensors [B, T], T the longest row; masks come from lengths, never from ``pad_id``."""
    import torch

    width = max(len(row.input_ids) for row in encoded)

    def padded(rows: list[list[int]], fill: int) -> torch.Tensor:
        return torch.tensor([row + [fill] * (width - len(row)) for row in rows], dtype=torch.int64)

    return Batch(
        ids=tuple(row.id for row in encoded),
        input_ids=padded([list(row.input_ids) for row in encoded], pad_id),
        attention_mask=padded([[1] * len(row.input_ids) for row in encoded], 0),
        labels=padded([list(row.labels) for row in encoded], IGNORE),
        reworded=tuple(row.reworded for row in encoded) if any(row.reworded for row in encoded) else (),
    )


class Stream:
    """An endless stream of batches: one order per epoch, one after the other, cut into ``batch_size`` rows.

    Rows are drawn without replacement, every epoch covers each row exactly once, and a batch may reach into the next
    epoch (so fewer rows than ``batch_size`` are fine). Step k needs nothing but k: a resumed run saves no
    state. ``bucket`` puts rows of like length into one step, so that little is padded (data/order.py).

    Streams of equal ``lengths`` and seed are aligned row by row. ``lengths`` are those that rows are ordered by; they
    are the rows' own unless roles are read together (order.common_lengths). ``shares``: the sets that ``encoded`` is
    made of, one after the other; an epoch then has as many rows of each as its weight says. Raises ValueError.
    """

    def __init__(
        self,
        encoded: Sequence[Encoded],
        batch_size: int,
        seed: int,
        pad_id: int,
        lengths: Sequence[int] | None = None,
        bucket: bool = True,
        shares: Sequence[Share] = (),
    ) -> None:
        if not encoded:
            raise ValueError("a stream must have at least one row, found none")
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, found {batch_size}")
        if lengths is not None and len(lengths) != len(encoded):
            raise ValueError(f"lengths must be one per row, found {len(lengths)} for {len(encoded)} rows")
        self.shares = shares or (Share(len(encoded)),)
        if sum(share.rows for share in self.shares) != len(encoded):
            raise ValueError(f"shares must have {len(encoded)} rows together, found {[s.rows for s in self.shares]}")
        self.count = sum(share.per_epoch for share in self.shares)
        self.encoded = encoded
        self.batch_size = batch_size
        self.seed = seed
        self.pad_id = pad_id
        self.bucket = bucket
        self._kept: tuple[int, list[int]] | None = None
        self.lengths = tuple(lengths if lengths is not None else (len(row.input_ids) for row in encoded))

    def rows(self, step: int) -> list[int]:
        """The row numbers of ``step`` (0-based), ``batch_size`` of them."""
        places = range(step * self.batch_size, (step + 1) * self.batch_size)
        return [self._order(place // self.count)[place % self.count] for place in places]

    def batches(self, step: int, micro_batch: int | None = None, rank: int = 0, world: int = 1) -> list[Batch]:
        """The rows of ``step``, shortest first, in pieces of ``micro_batch`` rows (None: one piece).

        Of ``world`` processes each gets every world-th row, from ``rank`` on: together they have the rows of the step,
        each once, about as many tokens each, and equally many pieces; where a process has no row for its last one,
        that is idle (``Batch.idle``). Raises ValueError for a rank that there is not.
        """
        if not 0 <= rank < world:
            raise ValueError(f"0 <= rank < world must hold, found {rank}, {world}")
        numbers = sorted(self.rows(step), key=lambda row: self.lengths[row])
        rows = [self.encoded[number] for number in numbers[rank::world]]
        size, most = micro_batch or self.batch_size, -(-self.batch_size // world)
        pieces = [collate(rows[start : start + size], self.pad_id) for start in range(0, len(rows), size)]
        missing = -(-most // size) - len(pieces)
        return pieces + [replace(collate([self.encoded[numbers[0]]], self.pad_id), idle=True)] * missing

    def _order(self, epoch: int) -> list[int]:
        """The order of one epoch; the last one asked for is kept."""
        if self._kept is None or self._kept[0] != epoch:
            rows = drawn(self.shares, self.seed, epoch)
            if self.bucket:
                order = bucketed([self.lengths[row] for row in rows], self.batch_size, self.seed, epoch)
            else:
                order = shuffled(self.count, self.seed, epoch)
            self._kept = (epoch, [rows[place] for place in order])
        return self._kept[1]

    def epoch(self, step: int) -> float:
        """The number of passes over the rows, fractions included, when ``step`` begins."""
        return step * self.batch_size / self.count


class Joined(Stream):
    """Two streams side by side: every step has the rows of both. Epochs are those of the first."""

    def __init__(self, first: Stream, second: Stream) -> None:
        encoded = [*first.encoded, *second.encoded]
        super().__init__(encoded, first.batch_size + second.batch_size, first.seed, first.pad_id)
        self.first, self.second = first, second
        self.count = first.count

    def rows(self, step: int) -> list[int]:
        """The row numbers of ``step``; those of the second stream stand after all of the first."""
        return self.first.rows(step) + [len(self.first.encoded) + row for row in self.second.rows(step)]

    def epoch(self, step: int) -> float:
        """Passes of the first stream's rows when ``step`` begins."""
        return self.first.epoch(step)
