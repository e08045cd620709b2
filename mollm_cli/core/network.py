"""The Hugging Face Hub as models and datasets see it: whether it may be asked, whether it answers, why it refuses."""

from __future__ import annotations

import errno
import functools
import os
import urllib.error
import urllib.request
from typing import Literal

PROBE_SECONDS = 3.0
HUB = "https://huggingface.co"
Cause = Literal["gated", "revision", "missing", "disk", "interrupted", "unreachable", "other"]
SIGNS: dict[Cause, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "revision": (
        ("RevisionNotFoundError",),
        ("is not a valid git identifier", "invalid rev id", "doesn't exist for dataset"),
    ),
    "missing": (
        ("RepositoryNotFoundError",),
        ("not a valid model identifier", "doesn't exist on the hub", "repository not found"),
    ),
    "gated": (("GatedRepoError",), ("gated repo", "gated dataset", "403 client")),
    "interrupted": (
        ("ReadError", "ReadTimeout", "RemoteProtocolError", "IncompleteRead", "ChunkedEncodingError"),
        ("consistency check failed", "peer closed connection"),
    ),
    "unreachable": (
        ("ConnectError", "ConnectTimeout", "OfflineModeIsEnabled", "LocalEntryNotFoundError"),
        ("connect", "offline", "couldn't reach"),
    ),
}
"""Per cause: class names in the chain of exceptions, and pieces of text. In the order in which they are looked for:
what says that a repository is missing goes on about gated ones."""

REMEDIES: dict[Cause, str] = {
    "gated": "Ask for access on its page and log in (`hf auth login`, or HF_TOKEN), or set {path}.",
    "revision": "Set {what}.revision to a branch, tag or commit that its page lists, or to null.",
    "missing": "Check the spelling (org/name); if it is private, log in (`hf auth login`); or set {path}.",
    "disk": "The disk of the cache is full: free some space, or set HF_HOME to a folder on another disk.",
    "interrupted": "The download broke off: run the same command again, what has arrived is kept.",
    "unreachable": "Set {path}, or HF_HUB_OFFLINE=1 with a warm cache, or HF_ENDPOINT to a mirror.",
    "other": "",
}


def offline() -> bool:
    """True if the environment forbids the network."""
    flags = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(flag, "").upper() in ("1", "ON", "YES", "TRUE") for flag in flags)


def endpoint() -> str:
    """The address of the Hub."""
    return os.environ.get("HF_ENDPOINT") or HUB


def silence() -> str | None:
    """Why only the local cache can be read ("no answer from ..."); None where the Hub may be asked.

    The endpoint is asked once in a process; any answer will do, an error page too.
    """
    return "the network is switched off (HF_HUB_OFFLINE)" if offline() else _probe(endpoint())


@functools.cache
def _probe(place: str) -> str | None:
    request = urllib.request.Request(place, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return None
    except (OSError, ValueError) as problem:
        return f"no answer from {place} ({getattr(problem, 'reason', problem)})"
    return None


def cause(error: BaseException) -> Cause:
    """The cause that kept something of the Hub from loading, found in the whole chain of exceptions."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    if any(getattr(link, "errno", None) == errno.ENOSPC for link in chain):
        return "disk"
    names = {type(link).__name__ for link in chain}
    text = " ".join(str(link) for link in chain).lower()
    for found, (classes, words) in SIGNS.items():
        if names & set(classes) or any(word in text for word in words):
            return found
    return "other"


def remedy(error: BaseException, what: str, path: str) -> str:
    """The remedy for ``error``, empty if nothing is known beyond the error's own words.

    ``what``: the configuration node (model, data.forget); ``path``: how that node names files of the user's own.
    """
    return REMEDIES[cause(error)].format(what=what, path=path)
