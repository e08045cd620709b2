"""Examples as token ids and labels: the answer and its end token are targets, the prompt is given."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mollm_cli.core.errors import RequestError
from mollm_cli.core.shared import shared
from mollm_cli.core.types import Encoded, Example, Role
from mollm_cli.data.apart import apart, as_items, from_items
from mollm_cli.data.chat_turns import label_every_turn
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.data.token_cache import TokenCache
from mollm_cli.data.windows import encode_windows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def encode_row(encoder: Encoder, example: Example, dataset: Dataset, role: Role) -> list[Encoded]:
    """One example as its dataset says: one row, or several of a long text where ``windows`` is set.

    Raises RequestError, naming the row.
    """
    try:
        if dataset.windows:
            return encode_windows(encoder, example, dataset.max_tokens, role)
        encoded = encoder.encode(example, dataset.template, dataset.max_tokens, role)
        if dataset.turns == "every":
            encoded = label_every_turn(encoder, example, dataset.template, encoded, role)
        return [encoded]
    except RequestError as problem:
        if f"'{example.id}'" in str(problem):
            raise
        raise RequestError(f"data.{role}: row '{example.id}': {problem}") from problem


def encode_all(loaded: Loaded, role: Role, tokenizer: PreTrainedTokenizerBase) -> list[Encoded]:
    """Every example of a role, with the template and the limit of its dataset; from the cache where it was done before.

    Raises RequestError, naming the row.
    """
    ids = hashlib.sha256("\n".join(example.id for example in loaded.examples).encode()).hexdigest()
    key = (encode_all, repr(loaded.dataset), loaded.fingerprint.get("sha256"), ids, role, id(tokenizer))
    return shared(key, lambda: _encode_all(loaded, role, tokenizer))


def _encode_all(loaded: Loaded, role: Role, tokenizer: PreTrainedTokenizerBase) -> list[Encoded]:
    encoder = Encoder(tokenizer)
    cache = TokenCache.of(loaded, tokenizer)
    found = cache.read() if cache else None
    if found is not None:
        return found
    rows = (row for example in loaded.examples for row in encode_row(encoder, example, loaded.dataset, role))
    encoded = from_items(apart(tokenizer, f"data.{role}", loaded.texts, lambda: as_items(rows)))
    if cache:
        cache.write(encoded)
    return encoded
