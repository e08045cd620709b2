"""Work sharing: which of several processes evaluates which batch.

Replicas take in turn the batches that one process would cut, so that no number depends on how many processes there are:
other rows in a batch would mean other rounding. If weights lie in shards, every process takes every batch, because each
must join every forward pass. That is no faster than one process, but it needs no dummy rows and no agreement on when a
generation has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from mollm_cli.core.world import ALONE, World

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WorkSharing:
    """The batches of one process; ``together``: every process takes every batch."""

    world: World = ALONE
    together: bool = False

    def mine(self, batches: Iterable[T]) -> Iterator[T]:
        """The share of ``batches`` that falls to this process."""
        return islice(batches, self.world.rank, None, self.world.size) if self._shared else iter(batches)

    def everyones(self, found: Mapping[int, Any]) -> dict[int, Any]:
        """The findings of all processes, by row, as JSON represents them (tuples become lists). All must call it."""
        if not self._shared:
            return dict(found)
        return {row: value for part in self.world.everyones(list(found.items())) for row, value in part}

    @property
    def shares(self) -> int:
        """The number of processes that the batches are shared out to."""
        return self.world.size if self._shared else 1

    @property
    def _shared(self) -> bool:
        return self.world.size > 1 and not self.together


ONE_PROCESS = WorkSharing()
"""The work is not shared."""
