"""Which of several processes evaluates which batch.

Replicas take the batches in turn, as one process would cut them, so that no number depends on how many there are: other
rows in a batch are other rounding. Where weights lie in shards every process takes every batch, for each must come to
every forward pass; that is no faster than one, and needs no dummy rows and no agreement on when a generation has ended.
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
    """together: every process takes every batch."""

    world: World = ALONE
    together: bool = False

    def mine(self, batches: Iterable[T]) -> Iterator[T]:
        """Those of ``batches`` that are this process's."""
        return islice(batches, self.world.rank, None, self.world.size) if self._shared else iter(batches)

    def everyones(self, found: Mapping[int, Any]) -> dict[int, Any]:
        """What every process has found, by row, as JSON has it (tuples are lists then). All processes call it."""
        if not self._shared:
            return dict(found)
        return {row: value for part in self.world.everyones(list(found.items())) for row, value in part}

    @property
    def _shared(self) -> bool:
        return self.world.size > 1 and not self.together


ONE = WorkSharing()
"""One process evaluates."""
