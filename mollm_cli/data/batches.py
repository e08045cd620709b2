"""Encoded rows as right-padded batches, in an order that is a pure function of seed and step."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache

from mollm_cli.core.types import IGNORE, Batch, Encoded


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
    )


class Stream:
    """An endless stream of batches: one permutation per epoch, one after the other, cut into ``batch_size`` rows.

    Rows are drawn without replacement, every epoch covers each row exactly once, and a batch may reach into the next
    epoch (so fewer rows than ``batch_size`` are fine). Step k needs nothing but k: a resumed run saves no
    state. Streams of equal length and seed are aligned row by row. Raises ValueError.
    """

    def __init__(self, encoded: Sequence[Encoded], batch_size: int, seed: int, pad_id: int) -> None:
        if not encoded:
            raise ValueError("a stream must have at least one row, found none")
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, found {batch_size}")
        self.encoded = encoded
        self.batch_size = batch_size
        self.seed = seed
        self.pad_id = pad_id

    def rows(self, step: int) -> list[int]:
        """The row numbers of ``step`` (0-based), ``batch_size`` of them."""
        count = len(self.encoded)
        places = range(step * self.batch_size, (step + 1) * self.batch_size)
        return [_permutation(count, self.seed, place // count)[place % count] for place in places]

    def batches(self, step: int, micro_batch: int | None = None) -> list[Batch]:
        """The rows of ``step`` in pieces of ``micro_batch`` rows (None: one piece), in the same order."""
        rows = [self.encoded[row] for row in self.rows(step)]
        size = micro_batch or self.batch_size
        return [collate(rows[start : start + size], self.pad_id) for start in range(0, len(rows), size)]

    def epoch(self, step: int) -> float:
        """How many times the rows have been passed when ``step`` begins."""
        return step * self.batch_size / len(self.encoded)


@lru_cache(maxsize=16)
def _permutation(count: int, seed: int, epoch: int) -> tuple[int, ...]:
    order = list(range(count))
    random.Random(f"{seed}:{epoch}").shuffle(order)
    return tuple(order)
