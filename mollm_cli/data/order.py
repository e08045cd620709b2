"""The order in which rows are passed: shuffled by seed and epoch, with rows of like length side by side."""

from __future__ import annotations

import random
from collections.abc import Sequence

BATCHES_SORTED = 50
"""Batches whose rows are sorted among themselves: enough that lengths in a batch are alike."""
PARTS = 2
"""Small sets are sorted in at least so many parts, so that epochs differ in which rows meet."""


def shuffled(count: int, seed: int, epoch: int) -> list[int]:
    """The rows of one epoch, each once, whatever their lengths: a pure function of the arguments."""
    order = list(range(count))
    random.Random(f"{seed}:{epoch}").shuffle(order)
    return order


def bucketed(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[int]:
    """The rows of one epoch, each once, in batches of like ``lengths``: a pure function of the arguments.

    A shuffled order is cut into stretches of several batches, each stretch sorted by length, and its batches shuffled
    again: which rows meet is still chance. Epochs follow one another without a gap, so the rows that complete
    the last batch of the epoch before come first, in shuffled order, and so do the rows of an incomplete last one.
    """
    count = len(lengths)
    order = shuffled(count, seed, epoch)
    head = min(-epoch * count % batch_size, count)
    whole = (count - head) // batch_size
    body = order[head : head + whole * batch_size]
    stretch = batch_size * max(1, min(BATCHES_SORTED, -(-whole // PARTS)))
    batches = []
    for start in range(0, len(body), stretch):
        rows = sorted(body[start : start + stretch], key=lambda row: lengths[row])
        batches += [rows[place : place + batch_size] for place in range(0, len(rows), batch_size)]
    random.Random(f"{seed}:{epoch}:batches").shuffle(batches)
    return [*order[:head], *(row for batch in batches for row in batch), *order[head + len(body) :]]


def common_lengths(*roles: Sequence[int]) -> list[int]:
    """One length per row for roles that are read row by row together: the sum. Raises ValueError: unequal counts."""
    if len({len(lengths) for lengths in roles}) != 1:
        raise ValueError(f"roles read together must have as many rows each, found {[len(r) for r in roles]}")
    return [sum(row) for row in zip(*roles, strict=True)]
