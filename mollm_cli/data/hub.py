"""Datasets of the Hugging Face Hub. An endpoint that does not answer is noticed in seconds, not after a minute."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from mollm_cli.core.errors import RequestError
from mollm_cli.data.rows import Row, Source

if TYPE_CHECKING:
    from mollm_cli.data.dataset import Dataset

PROBE_SECONDS = 3.0
COMMIT = re.compile("[0-9a-f]{40}")


def read_hub(dataset: Dataset, key: str) -> Source:
    """The rows of ``dataset.hub``, read as they are asked for. Raises RequestError, naming ``key`` and the remedies."""
    if not offline():
        probe(dataset, key)
    import datasets

    wanted = f"{dataset.hub}" + (f", config {dataset.config}" if dataset.config else "") + f", split {dataset.split}"
    try:
        table = datasets.load_dataset(dataset.hub, dataset.config, split=dataset.split, revision=dataset.revision)
    except Exception as problem:  # it raises dozens of types, every one about what was asked for
        raise RequestError(
            f"{key}: dataset '{dataset.name}' ({wanted}) must be readable, found {type(problem).__name__}: {problem}. "
            f"Check {key}.hub, .config, .split and .revision; log in with `hf auth login` where it is gated; "
            f"or set {key}.path=FILE"
        ) from problem
    label = str(dataset.hub)
    rows = (Row(dict(values), label, row, row) for row, values in enumerate(table, start=1))
    origin = {"id": dataset.hub, "config": dataset.config, "revision": dataset.revision, "split": dataset.split}
    commit = check_commit(dataset, table.cache_files, key)
    return Source(rows, table.num_rows, label, {"files": [], "hub": origin | {"commit": commit}})


def check_commit(dataset: Dataset, cache_files: list[dict[str, str]], key: str) -> str | None:
    """The commit that was read: the name of the cache's folder. Raises RequestError where it is not the one asked for.

    Without the network, ``datasets`` takes the newest cached version whatever the revision.
    """
    commit = Path(cache_files[0]["filename"]).parent.name if cache_files else None
    wanted = dataset.revision
    decidable = wanted is not None and (offline() or COMMIT.fullmatch(wanted))
    if decidable and commit != wanted:
        raise RequestError(
            f"{key}.revision must be the commit that is read, found revision={wanted} and commit {commit} in the "
            f"cache. Set {key}.revision={commit}, or allow the network"
        )
    return commit


def offline() -> bool:
    """Whether the environment forbids the network."""
    flags = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
    return any(os.environ.get(flag, "").upper() in ("1", "ON", "YES", "TRUE") for flag in flags)


def probe(dataset: Dataset, key: str) -> None:
    """Ask the endpoint for anything: any answer will do. Raises RequestError where none comes in 3 seconds."""
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    request = urllib.request.Request(endpoint, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return  # an error page is an answer
    except (OSError, ValueError) as problem:
        raise RequestError(
            f"{key}: dataset '{dataset.name}' must come from the Hub ({dataset.hub}), found no answer from {endpoint} "
            f"({problem}). Set {key}.path=FILE to read a file of yours, or HF_HUB_OFFLINE=1 to read the local cache, "
            "or HF_ENDPOINT to a mirror"
        ) from problem
