"""Rows small enough to check by hand, and a byte-level tokenizer with and without a chat template."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mollm_cli.core.types import Encoded, Example
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.load_dataset import Loaded

SPECIAL = ["</s>", "<s>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]


@pytest.fixture
def rows() -> Callable[..., Loaded]:
    """Examples as a set of questions and answers, with changes to its description."""

    def _rows(*examples: Example, **changes: Any) -> Loaded:
        fields = {"name": "d", "prompt_field": "question", "answer_field": "answer", "template": "Q {prompt} A "}
        return Loaded(Dataset(**(fields | changes)), list(examples), {"name": "d", "rows": len(examples)}, True)

    return _rows


@pytest.fixture
def tokenizer() -> Callable[[str | None], Any]:
    """A tokenizer with the chat template given, or without one; a byte is a token, special tokens aside."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    def _tokenizer(chat: str | None = None) -> Any:
        symbols = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
        raw = tokenizers.Tokenizer(models.BPE({symbol: i for i, symbol in enumerate(symbols)}, []))
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        raw.decoder = decoders.ByteLevel()
        raw.add_special_tokens(SPECIAL)
        return PreTrainedTokenizerFast(tokenizer_object=raw, chat_template=chat, eos_token="</s>")

    return _tokenizer


@pytest.fixture
def encoded() -> Callable[..., list[Encoded]]:
    """So many rows of four tokens out of 48, the last two of them targets."""

    def _encoded(rows: int, prefix: str = "f") -> list[Encoded]:
        ids = [tuple(3 + (7 * i + 5 * k * (i + 1) + len(prefix)) % 45 for k in range(4)) for i in range(rows)]
        return [Encoded(f"{prefix}{i}", row, (-100, -100, *row[2:])) for i, row in enumerate(ids)]

    return _encoded
