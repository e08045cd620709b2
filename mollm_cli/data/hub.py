"""Datasets of the Hugging Face Hub. Where it does not answer, the local cache is read."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mollm_cli.core import network
from mollm_cli.core.errors import RequestError
from mollm_cli.data.rows import Row, Source

if TYPE_CHECKING:
    from mollm_cli.data.dataset import Dataset

COMMIT = re.compile("[0-9a-f]{40}")


def read_hub(dataset: Dataset, key: str) -> Source:
    """The rows of ``dataset.hub``, read as they are asked for. Raises RequestError, naming ``key`` and the remedies."""
    table = _table(dataset, key)
    label = str(dataset.hub)
    rows = (Row(dict(values), label, row, row) for row, values in enumerate(table, start=1))
    origin = {"id": dataset.hub, "config": dataset.config, "revision": dataset.revision, "split": dataset.split}
    commit = check_commit(dataset, table.cache_files, key)
    return Source(rows, table.num_rows, label, {"files": [], "hub": origin | {"commit": commit}})


def _table(dataset: Dataset, key: str) -> Any:
    silence = network.silence()
    if silence is not None and not network.offline():
        print(f"{key}: {silence}: {dataset.hub} is read from the local cache", file=sys.stderr)
    import datasets

    wanted = f"{dataset.hub}" + (f", config {dataset.config}" if dataset.config else "") + f", split {dataset.split}"
    try:
        with _cache_only(datasets) if silence else contextlib.nullcontext():
            return datasets.load_dataset(dataset.hub, dataset.config, split=dataset.split, revision=dataset.revision)
    except Exception as problem:  # it raises dozens of types, every one about what was asked for
        found = f"{type(problem).__name__}: {problem}".rstrip(".")
        if silence is None:
            remedy = network.remedy(problem, key, f"{key}.path=FILE")
            remedy = remedy or f"Check {key}.hub, .config, .split and .revision, or set {key}.path=FILE."
        else:
            found = f"{silence}, and the local cache does not have it ({found})"
            remedy = network.REMEDIES["unreachable"].format(path=f"{key}.path=FILE")
        raise RequestError(
            f"{key}: dataset '{dataset.name}' ({wanted}) must be readable, found {found}. {remedy}"
        ) from problem


@contextlib.contextmanager
def _cache_only(datasets: Any) -> Iterator[None]:
    """Within the block ``datasets`` reads its cache at once, instead of asking a Hub that does not answer again."""
    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def check_commit(dataset: Dataset, cache_files: list[dict[str, str]], key: str) -> str | None:
    """The commit that was read: the name of the cache's folder. Raises RequestError where it is not the one asked for.

    Without the network, ``datasets`` takes the newest cached version whatever the revision.
    """
    commit = Path(cache_files[0]["filename"]).parent.name if cache_files else None
    wanted = dataset.revision
    decidable = wanted is not None and (network.silence() is not None or COMMIT.fullmatch(wanted))
    if decidable and commit != wanted:
        raise RequestError(
            f"{key}.revision must be the commit that is read, found revision={wanted} and commit {commit} in the "
            f"cache. Set {key}.revision={commit}, or allow the network"
        )
    return commit
