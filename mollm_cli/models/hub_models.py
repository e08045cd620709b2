"""Models of the Hugging Face Hub: read from the cache where it does not answer, and the message when that fails."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mollm_cli.core import network
from mollm_cli.core.errors import MollmError, RequestError

PASSED_ON = (MollmError, MemoryError)
"""Exceptions that are what they are, whoever's file brings them about."""
PANIC = "PanicException"
"""The exception by which a library in Rust says that it came upon something it had not thought of."""


def cache_only(path: str) -> bool:
    """True where ``path`` is a Hub id and the Hub may not or cannot be asked; prints so where it does not answer."""
    if Path(path).is_dir() or (silence := network.silence()) is None:
        return False
    if not network.offline():
        print(f"{silence}: {path} is read from the local cache", file=sys.stderr)
    return True


def fetch(path: str, names: Iterable[str], revision: str | None) -> None:
    """Bring those of ``names`` that a Hub's model has into the local cache, beside what has been read of it.

    What is known to be there, or not to be there, is not asked for again.
    """
    from huggingface_hub import try_to_load_from_cache
    from transformers.utils import cached_file

    for name in names:
        if try_to_load_from_cache(path, name, revision=revision) is None:
            cached_file(path, name, revision=revision, _raise_exceptions_for_missing_entries=False)


@contextmanager
def reading(path: str, what: str) -> Iterator[None]:
    """Make a RequestError of whatever a model folder makes transformers raise, which may be anything.

    Ctrl-C and want of memory are passed on.
    """
    try:
        yield
    except PASSED_ON:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != PANIC:
            raise
        raise RequestError(explain(path, what, error)) from error


def explain(path: str, what: str, error: BaseException) -> str:
    """The message of a failed load: the request, the loader's first line, the remedy."""
    text = str(error)
    lines = text.strip().splitlines() or [type(error).__name__]
    first = " ".join(line.strip() for line in lines[:2]) if lines[0].endswith(":") else lines[0]
    if "trust_remote_code" in text:
        remedy = "It runs code of its own: read that code, then set model.trust_remote_code=true."
    elif "mismatched" in text:
        remedy = "config.json and the weight files are of different models: copy both from one place."
    elif "weights_only" in text or "Weights only" in text:
        remedy = "A .bin file must hold tensors only, this one holds code: do not load it; take safetensors instead."
    elif type(error).__name__ == "SafetensorError":
        remedy = "A weight file is damaged or incomplete: copy or download it again."
    else:
        remedy = network.remedy(error, "model", "model.path=DIR to a local folder")
        remedy = remedy or "Set model.path to a folder written by save_pretrained, or to a Hub id (org/name)."
    return f"model.path={path}: the {what} cannot be loaded ({type(error).__name__}: {first[:300]}). {remedy}"
