"""A preview for people: the text that the model will read, and the text that it has to predict."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from mollm_cli.core.printable import printable
from mollm_cli.core.privacy import KeepText, shows_text
from mollm_cli.core.types import IGNORE, Encoded, Role
from mollm_cli.data.apart import apart, as_items, from_items
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.encoding import encode_row
from mollm_cli.data.load_dataset import Loaded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Shown:
    """One encoded row, decoded: the text that is given, the text that is a target, and their tokens."""

    id: str
    prompt_text: str
    target_text: str
    tokens: int
    targets: int


def preview(
    loaded: Loaded, role: Role, tokenizer: PreTrainedTokenizerBase, rows: int = 3, keep_text: KeepText = "auto"
) -> list[Shown]:
    """The first ``rows`` of a role as the model gets them, special tokens included.

    Text that ``keep_text`` does not show is withheld. Raises RequestError as encoding does.
    """
    encoder = Encoder(tokenizer)
    dataset = loaded.dataset
    visible = shows_text(loaded.content, keep_text)
    shown = []
    first = loaded.examples[:rows]
    found = (row for example in first for row in encode_row(encoder, example, dataset, role))
    texts = [f"{example.prompt}{example.answer}" for example in first]
    for encoded in from_items(apart(tokenizer, f"data.{role}", texts, lambda: as_items(islice(found, rows)))):
        given, target = _split(encoded)
        texts = [_decoded(part, tokenizer) if visible else _withheld(part, loaded) for part in (given, target)]
        shown.append(Shown(encoded.id, texts[0], texts[1], len(encoded.input_ids), encoded.targets))
    return shown


def _split(encoded: Encoded) -> tuple[list[int], list[int]]:
    pairs = list(zip(encoded.input_ids, encoded.labels, strict=True))
    return [token for token, label in pairs if label == IGNORE], [token for token, label in pairs if label != IGNORE]


def _decoded(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> str:
    return printable(str(tokenizer.decode(ids, skip_special_tokens=False)))


def _withheld(ids: list[int], loaded: Loaded) -> str:
    return f"[{loaded.content} text withheld: {len(ids)} tokens; evaluation.keep_text=true shows it]"
