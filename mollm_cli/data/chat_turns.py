"""Labels on every turn of the assistant, not only on its last."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Encoded, Example, Role
from mollm_cli.data.chat_template import is_chat
from mollm_cli.data.dialogue import Dialogue

if TYPE_CHECKING:
    from mollm_cli.data.encoder import Encoder


def label_every_turn(encoder: Encoder, example: Example, template: str, encoded: Encoded, role: Role) -> Encoded:
    """``encoded`` with the assistant's earlier turns as targets too, each from where its text begins to its turn's end.

    A turn is what changes in the conversation's text where another stands in its place. Raises RequestError where its
    tokens are not found in the row: without a chat template no turn has an end, and some leave earlier turns out.
    Turns without a text and those of weight 0 are no targets.
    """
    if not isinstance(example.prompt, Dialogue):
        return encoded
    labels = list(encoded.labels)
    for place, turn in enumerate(example.prompt.turns):
        if not turn.taught or place == 0:
            continue
        chat = is_chat(encoder.tokenizer, template)
        given, whole = (encoder.turn_span(example.prompt, example.answer, place) if chat else None) or ([], [])
        shown = min(len(whole), len(labels))
        if not given or whole[: len(given)] != given or whole[:shown] != list(encoded.input_ids[:shown]):
            raise RequestError(
                f"data.{role}.turns=every needs a chat template that writes every turn as a text of its own, found "
                f"message {place + 1} of row '{encoded.id}' written otherwise. Set data.{role}.turns=last"
            )
        labels[len(given) : shown] = whole[len(given) : shown]
    return replace(encoded, labels=tuple(labels))
