"""Bootstrap intervals: the range of a value when its rows are drawn anew.

A percentile bootstrap (Efron 1979): the value is computed again on 1000 samples of n rows, drawn with replacement from
the n rows, and the interval runs from its 2.5 % to its 97.5 % quantile (linear between two values). A sample is stored
as the number of times it holds each row, so the means of all samples are one matrix product. Draws are seeded and
depend only on n and ``stream``, so equal rows give equal intervals. An interval is about the choice of rows, not about
the seed of the training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.uint8]

RESAMPLES = 1000
COVERAGE = 0.95
SEED = 0
BLOCK = 100
"""Samples per block, held as float64 [BLOCK, n]: 8 MB for 10 000 rows."""
KEPT_ROWS = 10_000
"""Draws of up to this many rows are kept for the next metric (10 MB); draws of more rows are made again each time."""


def draws(rows: int, stream: int = 0) -> Iterator[Counts]:
    """The number of times each sample holds each row: blocks uint8 [BLOCK, rows], RESAMPLES samples in all.

    stream: two sets need different streams, or their samples are not independent.
    """
    return iter(_kept(rows, stream)) if rows <= KEPT_ROWS else _drawn(rows, stream)


@lru_cache(maxsize=8)
def _kept(rows: int, stream: int) -> tuple[Counts, ...]:
    return tuple(_drawn(rows, stream))


def _drawn(rows: int, stream: int) -> Iterator[Counts]:
    import numpy as np

    generator = np.random.default_rng([SEED, rows, stream])
    places = np.arange(BLOCK)[:, None] * rows
    for _ in range(0, RESAMPLES, BLOCK):
        picked = generator.integers(rows, size=(BLOCK, rows)) + places
        # uint8 is enough: one sample in about 10^500 holds a row 256 times.
        yield np.bincount(picked.ravel(), minlength=BLOCK * rows).reshape(BLOCK, rows).astype(np.uint8)


def resampled_means(values: Sequence[float | None], stream: int = 0) -> Floats:
    """Per sample the mean of its values that are not None: [RESAMPLES], NaN where a sample has none."""
    import numpy as np

    defined = [0.0 if value is None else 1.0 for value in values]
    if all(defined):
        table = np.asarray(values, dtype=np.float64)
        return np.concatenate([block @ table for block in draws(len(values), stream)]) / len(values)
    return resampled_ratios([value or 0.0 for value in values], defined, stream)


def resampled_ratios(above: Sequence[float], below: Sequence[float], stream: int = 0) -> Floats:
    """Per sample sum(above) / sum(below) over its rows: [RESAMPLES], NaN where the lower sum is 0."""
    import numpy as np

    table = np.stack([np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)], axis=1)
    sums = np.concatenate([block @ table for block in draws(len(table), stream)])
    ratios: Floats = np.divide(sums[:, 0], sums[:, 1], out=np.full(len(sums), np.nan), where=sums[:, 1] != 0)
    return ratios


def cumulative(counts: Counts, order: NDArray[np.intp]) -> NDArray[np.int64]:
    """The number of draws among the first 0, 1, ..., n rows of ``order``: counts [b, n] -> [b, n + 1]."""
    import numpy as np

    return np.pad(counts[:, order].cumsum(axis=1, dtype=np.int64), ((0, 0), (1, 0)))


def percentiles(values: Floats) -> tuple[float, float] | None:
    """The interval of the samples' values, without NaN; None if every value is NaN."""
    import numpy as np

    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The interval of a mean over rows; None for fewer than two rows, which say nothing about others."""
    return percentiles(resampled_means(values)) if len(values) > 1 else None
