"""Rows of which the tokens are not known, because the tokenizer is not on this machine, or the rows are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import IGNORE, Encoded, Example
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.data.pairing import Answer, Pairing, called, load_roles, present

BYTES = 3
"""Bytes of UTF-8 per token, at the least: tokenizers make 4 of English text, where a letter is a byte; a Chinese
character is three bytes and one or two tokens."""
AROUND = 16
"""Tokens of a template around a prompt and its answer."""
ROWS = 1000
"""Rows of a dataset that cannot be read."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """Rows by role and set, their assumed tokens, and a sentence that says what was assumed."""

    loaded: Mapping[str, Loaded]
    encoded: Mapping[str, list[Encoded]]
    why: str


def assumed(pairing: Pairing, seed: int, answer: Answer) -> Assumed:
    """Lengths from the texts where the rows can be read, else from max_tokens. Raises RequestError for wrong files."""
    places = present(pairing)
    try:
        loaded = load_roles(pairing, seed, answer=answer)
    except RequestError:
        if not any(dataset.hub and not dataset.path for dataset in places.values()):
            raise
        rows = {called(place): _longest(dataset) for place, dataset in places.items()}
        return Assumed({}, rows, "the rows cannot be read here: each is assumed to have data.<role>.max_tokens tokens")
    encoded = {name: [_guessed(row, rows.dataset) for row in rows.examples] for name, rows in loaded.items()}
    why = f"the tokenizer is not in the local cache: {BYTES} bytes of text are assumed to be a token"
    return Assumed(loaded, encoded, why)


def _guessed(row: Example, dataset: Dataset) -> Encoded:
    given, said = AROUND + _least(row.prompt), 1 + _least(row.answer)
    given = min(given, dataset.max_tokens - 1)
    return _tokens(row.id, given, min(said, dataset.max_tokens - given))


def _least(text: str) -> int:
    return len(text.encode(errors="surrogatepass")) // BYTES


def _longest(dataset: Dataset) -> list[Encoded]:
    count = dataset.limit or dataset.expected_rows or ROWS
    return [_tokens(str(row), 1, dataset.max_tokens - 1) for row in range(min(count, ROWS))]


def _tokens(name: str, given: int, targets: int) -> Encoded:
    return Encoded(name, (0,) * (given + targets), (IGNORE,) * given + (0,) * targets)
