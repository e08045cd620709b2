"""Several sets that are trained on as one: how many rows of each an epoch has, and which."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """A set of ``rows`` rows, of which an epoch has ``weight * rows``."""

    rows: int
    weight: float = 1.0

    @property
    def per_epoch(self) -> int:
        """Rows of this set in one epoch: rounded, at least one."""
        return max(1, round(self.weight * self.rows))


def drawn(shares: Sequence[Share], seed: int, epoch: int) -> list[int]:
    """The rows of one epoch, ascending; rows are numbered over all ``shares``. A pure function of the arguments.

    Each set is passed in shuffled orders of its own, one after the other, of which an epoch takes the next
    ``per_epoch`` rows: with weight 0.5 every row comes once in two epochs, with weight 2 twice in one.
    """
    rows: list[int] = []
    first = 0
    for share in shares:
        places = range(epoch * share.per_epoch, (epoch + 1) * share.per_epoch)
        for turn in range(places.start // share.rows, (places.stop - 1) // share.rows + 1):
            order = list(range(first, first + share.rows))
            random.Random(f"{seed}:{turn}:set {first}").shuffle(order)
            begin = turn * share.rows
            rows += order[max(places.start - begin, 0) : places.stop - begin]
        first += share.rows
    return sorted(rows)
