"""Files, descriptions and tokenizers small enough to check by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.data.dataset import Dataset
from tests.support.planted import Heard

SHARED = Path(__file__).parents[4] / "shared" / "data"
CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["</s>", "<s>", "<|user|>", "<|assistant|>", "<|end|>", "<pad>"]


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the real data sets are not at {SHARED}")
    return SHARED


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write rows as JSON Lines; the path comes back."""

    def _write(name: str, *rows: Any) -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return _write


@pytest.fixture
def qa() -> Callable[..., Dataset]:
    """A description of questions and answers, with changes."""
    return lambda **changes: Dataset(**{"name": "d", "prompt_field": "question", "answer_field": "answer", **changes})


@pytest.fixture
def text() -> Callable[..., Dataset]:
    """A description of plain text, with changes."""
    return lambda **changes: Dataset(**{"name": "t", "kind": "text", "text_field": "text", **changes})


@pytest.fixture
def tokenizer() -> Callable[..., Any]:
    """What builds a tokenizer: see ``build``."""
    return build


@pytest.fixture
def heard(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Heard:
    """All that is said while something fails."""
    return Heard(capsys, caplog)


def build(
    post: str | None = None, merges: Sequence[tuple[str, str]] = (), chat: str | None = None, **special: str
) -> Any:
    """A byte-level BPE: a byte is a token but for ``merges``; ``post`` such as "<s> $A" says what surrounds a text."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    symbols = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)]
    vocabulary = {symbol: i for i, symbol in enumerate(symbols)}
    raw = tokenizers.Tokenizer(models.BPE(vocabulary, list(merges)))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(SPECIAL)
    if post:
        pairs = [(token, vocabulary[token]) for token in ("<s>", "</s>")]
        raw.post_processor = processors.TemplateProcessing(single=post, special_tokens=pairs)
    return PreTrainedTokenizerFast(tokenizer_object=raw, chat_template=chat, **special)
