"""References whose states are cached, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mollm_cli.core.types import Batch, Encoded
from mollm_cli.data.batches import collate
from mollm_cli.models.reference import Reference, starting_states
from mollm_cli.models.reference_cache import Forward, StateCache

CPU = Forward("cpu")


def rows_of(*batches: Batch) -> list[Encoded]:
    """The rows of ``batches``, without their padding."""
    rows = []
    for batch in batches:
        for i, id in enumerate(batch.ids):
            length = int(batch.attention_mask[i].sum())
            ids, labels = batch.input_ids[i, :length].tolist(), batch.labels[i, :length].tolist()
            rows.append(Encoded(id, tuple(ids), tuple(labels)))
    return rows


def together(rows: Sequence[Encoded]) -> Batch:
    """``rows`` as one batch, filled with token 0."""
    return collate(rows, 0)


def cached(
    model, rows: Sequence[Encoded], folder: Path | None = None, forward: Forward = CPU, size: int = 3
) -> Reference:
    """The cached reference of ``model`` as it is now, filled ``size`` rows at a time."""
    cache = StateCache(rows, folder, forward.layer)
    cache.fill(starting_states(model, forward), together, size)
    return Reference(model, "cache", cache)
