"""Token ids kept between runs, so that a large set is tokenized once.

A file is named after everything that its ids depend on: the examples, how they are written, the tokenizer, the version
of this layer. It is written under another name and renamed, so processes that write it at once do no harm. It holds
safetensors, no code, and is for the owner alone. Sets of ``content: personal`` are never kept: what is asked to be
deleted gets no further copy. A run lists the files that it keeps here, and --purge removes them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mollm_cli.core.kept import kept
from mollm_cli.core.manner import manner_of
from mollm_cli.core.privacy import make_private, private
from mollm_cli.core.types import Encoded
from mollm_cli.data.load_dataset import Loaded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

VERSION = 2
"""Raised whenever the same description and tokenizer would give other ids or labels."""
FEWEST_ROWS = 1000
"""Smaller sets are tokenized in less time than a person notices, and leave no file behind."""
WRITTEN_BY = ("kind", "template", "max_tokens", "windows", "turns")
"""The options of a dataset that say how its examples become tokens."""


@dataclass(frozen=True, slots=True)
class TokenCache:
    """The file of one set under one tokenizer; it may not be there yet."""

    file: Path

    @classmethod
    def of(cls, loaded: Loaded, tokenizer: PreTrainedTokenizerBase) -> TokenCache | None:
        """The place for ``loaded``; None where it is not to be kept."""
        if not loaded.cache or loaded.content == "personal" or len(loaded.examples) < FEWEST_ROWS:
            return None
        who = tokenizer_fingerprint(tokenizer)
        if who is None:
            return None
        ids = hashlib.sha256(json.dumps([example.id for example in loaded.examples]).encode()).hexdigest()
        how = {name: getattr(loaded.dataset, name) for name in WRITTEN_BY}
        parts = {"version": VERSION, "examples": loaded.fingerprint["sha256"], "ids": ids, "how": how, "tokenizer": who}
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return cls(cache_folder() / f"{key}.safetensors")

    def read(self) -> list[Encoded] | None:
        """The rows as they were written; None where there is no such file, or no whole one."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        kept(self.file)
        try:
            arrays = load_file(self.file)
            ids = json.loads(arrays["ids"].tobytes())
            tokens, labels = arrays["input_ids"].tolist(), arrays["labels"].tolist()
            bounds = [0, *accumulate(arrays["lengths"].tolist())]
        except (OSError, SafetensorError, KeyError, ValueError):
            return None
        spans = pairwise(bounds)
        return [Encoded(id, tuple(tokens[a:b]), tuple(labels[a:b])) for id, (a, b) in zip(ids, spans, strict=True)]

    def write(self, encoded: Sequence[Encoded]) -> None:
        """Keep ``encoded``. A full or read-only disk is a warning: the run goes on without a cache."""
        import numpy
        from safetensors.numpy import save_file

        arrays: dict[str, numpy.ndarray[Any, Any]] = {
            "ids": numpy.frombuffer(json.dumps([row.id for row in encoded]).encode(), dtype=numpy.uint8),
            "lengths": numpy.array([len(row.input_ids) for row in encoded], dtype=numpy.int64),
            "input_ids": numpy.fromiter(chain.from_iterable(row.input_ids for row in encoded), dtype=numpy.int32),
            "labels": numpy.fromiter(chain.from_iterable(row.labels for row in encoded), dtype=numpy.int32),
        }
        temporary = self.file.with_name(f".{os.getpid()}-{uuid.uuid4().hex}")
        try:
            with private():
                make_private(self.file.parent)
                save_file(arrays, temporary)
                temporary.replace(self.file)
        except Exception as problem:  # safetensors wraps a full disk in an error of its own
            with contextlib.suppress(OSError):
                temporary.unlink()
            warnings.warn(
                f"token ids could not be kept in {self.file.parent} ({problem}); data.cache=false keeps none",
                stacklevel=2,
            )


def cache_folder() -> Path:
    """The folder of token ids: mollm-unlearn/tokens in the user's cache folder (XDG_CACHE_HOME, or ~/.cache)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mollm-unlearn" / "tokens"


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """sha256 over all that decides what a tokenizer does; None where it is written in Python (its code decides too)."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    manner = manner_of(tokenizer)
    how = [getattr(tokenizer, "chat_template", None), dict(manner.options), manner.ends]
    parts = [backend.to_str(), how, special, type(tokenizer).__name__]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
