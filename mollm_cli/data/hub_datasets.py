"""Datasets of the Hugging Face Hub. Where it does not answer, the local cache is read."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mollm_cli.core import network
from mollm_cli.core.discretion import cause, in_clear, origin
from mollm_cli.core.errors import RequestError
from mollm_cli.data.source_row import Source, SourceRow

if TYPE_CHECKING:
    from mollm_cli.data.dataset import Dataset

COMMIT = re.compile("[0-9a-f]{40}")
GENERATION = ("DatasetGeneration", "CastError")
"""Beginnings of the names that ``datasets`` gives to exceptions about rows."""


def read_hub(dataset: Dataset, key: str) -> Source:
    """The rows of ``dataset.hub``, read as they are asked for. Raises RequestError, naming ``key`` and the remedies."""
    table, files = _table(dataset, key)
    label = str(dataset.hub)
    rows = (SourceRow(dict(values), label, row, row) for row, values in enumerate(table, start=1))
    origin = {"id": dataset.hub, "config": dataset.config, "revision": dataset.revision, "split": dataset.split}
    commit = check_commit(dataset, table.cache_files, key)
    return Source(rows, table.num_rows, label, {"files": files, "hub": origin | {"commit": commit}})


def _table(dataset: Dataset, key: str) -> tuple[Any, list[dict[str, Any]]]:
    """The table, and the data files of its commit (none without the network: the commit names them)."""
    silence = network.silence()
    if silence is not None and not network.offline():
        print(f"{key}: {silence}: {dataset.hub} is read from the local cache", file=sys.stderr)
    import datasets

    datasets.disable_progress_bars()  # what is being done is said by the run itself
    wanted = f"{dataset.hub}" + (f", config {dataset.config}" if dataset.config else "") + f", split {dataset.split}"
    try:
        revision, files = (dataset.revision, []) if silence else _published(dataset)
        with _cache_only(datasets) if silence else contextlib.nullcontext(), _quiet():
            table = datasets.load_dataset(dataset.hub, dataset.config, split=dataset.split, revision=revision)
        return table, files
    except MemoryError:
        raise
    except Exception as problem:  # it raises dozens of types, every one about what was asked for
        said = cause(problem) if _of_rows(problem) else f"{type(problem).__name__}: {problem}"
        found = " ".join(said.split())[:300].rstrip(".")  # some are a page long
        if silence is None:
            remedy = network.remedy(problem, key, f"{key}.path=FILE")
            remedy = remedy or f"Check {key}.hub, .config, .split and .revision, or set {key}.path=FILE."
        else:
            found = f"{silence}, and the local cache does not have it ({found})"
            remedy = network.REMEDIES["unreachable"].format(path=f"{key}.path=FILE")
        raise RequestError(
            f"{key}: dataset '{dataset.name}' ({wanted}) must be readable, found {found}. {remedy}"
        ) from (origin(problem) if _of_rows(problem) else problem)


def _published(dataset: Dataset) -> tuple[str | None, list[dict[str, Any]]]:
    """The commit that ``dataset.revision`` names on the Hub now, and its data files with the hashes the Hub knows.

    ``datasets`` by itself falls back to any cached version where a revision does not exist; this raises.
    """
    from huggingface_hub import HfApi

    info = HfApi().dataset_info(str(dataset.hub), revision=dataset.revision, files_metadata=True)
    files = [
        {
            "path": file.rfilename,
            "bytes": file.size,
            "sha256": file.lfs.sha256 if file.lfs else None,
            "blob": file.blob_id,
        }
        for file in info.siblings or ()
        if not file.rfilename.startswith(".") and not file.rfilename.endswith(".md")
    ]
    return info.sha, files


def _of_rows(problem: BaseException | None) -> bool:
    """True if rows could not be read, and the explanation may quote one; False if the request itself was wrong."""
    while problem is not None:
        kind = type(problem)
        if kind.__module__.split(".")[0] in ("pyarrow", "pandas", "json") or kind.__name__.startswith(GENERATION):
            return True
        problem = problem.__cause__ or problem.__context__
    return False


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Within the block ``datasets`` does not log of files that it cannot read, unless texts may be told."""
    logger = logging.getLogger("datasets")
    before = logger.level
    try:
        logger.setLevel(before if in_clear() else logging.CRITICAL)
        yield
    finally:
        logger.setLevel(before)


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
