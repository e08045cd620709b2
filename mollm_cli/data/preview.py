"""A preview for people: the text that the model will read, and the text that it has to predict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from mollm_cli.core.errors import RequestError
from mollm_cli.core.printable import printable
from mollm_cli.core.privacy import KeepText, shows_text
from mollm_cli.core.types import IGNORE, Example, Role
from mollm_cli.data.apart import apart
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.dialogue import Dialogue
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.encoding import encode_row
from mollm_cli.data.load_dataset import Loaded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MASK = "░"
"""A token of a text that is not shown."""
FILLERS = ("a", "7")
"""Texts that take the place of a row's own. They share no token: what two rows of them share is the template's."""


class Part(NamedTuple):
    """A piece of a row: its text, or a MASK for each token, and whether it is a target."""

    text: str
    target: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """One encoded row in parts, in the order in which the model reads them, with the number of its tokens."""

    id: str
    parts: tuple[Part, ...]
    tokens: int
    targets: int


def preview(
    loaded: Loaded, role: Role, tokenizer: PreTrainedTokenizerBase, rows: int = 3, keep_text: KeepText = "auto"
) -> list[Shown]:
    """The first ``rows`` of a role as the model gets them, special tokens included.

    Of text that ``keep_text`` does not show there is a MASK for each token, with what the template writes around it.
    Raises RequestError as encoding does.
    """
    encoder, first = Encoder(tokenizer), loaded.examples[:rows]
    hidden = not shows_text(loaded.content, keep_text)
    texts = [f"{example.prompt}{example.answer}" for example in first]

    def encoded() -> Iterator[Sequence[Any]]:
        for example in first:
            own = _template_ids(encoder, example, loaded.dataset) if hidden else []
            for row in encode_row(encoder, example, loaded.dataset, role):
                yield row.id, row.input_ids, row.labels, own

    found = islice(apart(tokenizer, f"data.{role}", texts, encoded), rows)
    return [_shown(id, ids, labels, own if hidden else None, tokenizer) for id, ids, labels, own in found]


def _shown(
    id: str, ids: Sequence[int], labels: Sequence[int], own: Sequence[int] | None, tokenizer: PreTrainedTokenizerBase
) -> Shown:
    """A row in parts. own: the ids that its template writes, if all others are masked."""
    visible = [True] * len(ids) if own is None else _found_again(own, ids)
    target = [label != IGNORE for label in labels]
    parts = []
    for (is_target, is_visible), places in groupby(range(len(ids)), key=lambda n: (target[n], visible[n])):
        some = [ids[place] for place in places]
        parts.append(Part(_decoded(some, tokenizer) if is_visible else MASK * len(some), is_target))
    return Shown(id, tuple(_joined(parts)), len(ids), sum(target[1:]))


def _joined(parts: Iterable[Part]) -> Iterator[Part]:
    for target, some in groupby(parts, key=lambda part: part.target):
        yield Part("".join(part.text for part in some), target)


def _template_ids(encoder: Encoder, example: Example, dataset: Dataset) -> list[int]:
    """The ids that the template writes around the texts of a row, whatever they are; [] where that cannot be told.

    They come from a row without the texts of this one, so nothing of these is among them.
    """
    try:
        one, other = (_filled(encoder, example, dataset, filler) for filler in FILLERS)
    except RequestError:
        return []
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return [token for block in blocks for token in one[block.a : block.a + block.size]]


def _filled(encoder: Encoder, example: Example, dataset: Dataset, filler: str) -> list[int]:
    """The ids of the same row with ``filler`` in the place of each of its texts."""
    prompt: str = example.prompt and filler
    if isinstance(example.prompt, Dialogue):
        prompt = Dialogue([turn._replace(content=filler) for turn in example.prompt.turns])
    return list(encoder.encode_answer(prompt, filler, dataset.template, dataset.max_tokens).input_ids)


def _found_again(own: Sequence[int], ids: Sequence[int]) -> list[bool]:
    """One flag for each of ``ids``: True if it is one of ``own``, each of which is found once, in their order."""
    found = [False] * len(ids)
    for block in SequenceMatcher(None, own, ids, autojunk=False).get_matching_blocks():
        found[block.b : block.b + block.size] = [True] * block.size
    return found


def _decoded(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> str:
    return printable(str(tokenizer.decode(ids, skip_special_tokens=False)))
