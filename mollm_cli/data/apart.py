"""A tokenizer and its chat template are programs of a stranger: they are run in a process with limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from mollm_cli.assets.locate import is_embedded
from mollm_cli.core.bounded import streamed
from mollm_cli.core.types import Encoded
from mollm_cli.data.token_cache import tokenizer_fingerprint

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SMALL = 1 << 20
"""Characters that our own tokenizer is given without a limit."""
REMEDY = "Look at its longest row and at the tokenizer's chat template; set data.ROLE.template=none, read fewer rows"
_OURS: set[str | None] = set()
"""Fingerprints of the tokenizers shipped with this package, as far as they were met: a checkpoint has one of them."""
_KNOWN: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def apart(
    tokenizer: PreTrainedTokenizerBase, key: str, texts: Sequence[str], work: Callable[[], Iterable[Any]]
) -> Iterable[Any]:
    """The items of ``work``, JSON, which it makes of ``texts`` for what ``key`` names. Raises RequestError."""
    size = sum(map(len, texts))
    if size <= SMALL and _ours(tokenizer):
        return work()
    longest = max(map(len, texts), default=0)
    what = f"{key}: writing {len(texts)} texts, the longest of {longest} characters, as the model's tokens"
    return streamed(what, work, REMEDY, size, tells=False)


def as_items(rows: Iterable[Encoded]) -> Iterable[tuple[Any, ...]]:
    """Rows as JSON has them."""
    return ((row.id, row.input_ids, row.labels) for row in rows)


def from_items(items: Iterable[Sequence[Any]]) -> list[Encoded]:
    """The rows again."""
    return [Encoded(id, tuple(tokens), tuple(labels)) for id, tokens, labels in items]


def _ours(tokenizer: PreTrainedTokenizerBase) -> bool:
    """True if ``tokenizer`` is one of this package, or behaves the same in every way."""
    if tokenizer not in _KNOWN:
        embedded = is_embedded(getattr(tokenizer, "name_or_path", "") or ".")
        if embedded:
            _OURS.add(tokenizer_fingerprint(tokenizer))
        _KNOWN[tokenizer] = embedded or bool(_OURS and tokenizer_fingerprint(tokenizer) in _OURS - {None})
    return _KNOWN[tokenizer]
