"""Labels on every turn of the assistant, not only on its last."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Encoded, Example, Role
from mollm_cli.data.dialogue import Dialogue, as_prompt

if TYPE_CHECKING:
    from mollm_cli.data.encoder import Encoder


def label_every_turn(encoder: Encoder, example: Example, template: str, encoded: Encoded, role: Role) -> Encoded:
    """``encoded`` with the assistant's earlier turns as targets too, each from its generation prompt to its turn's end.

    A turn is looked for where the conversation would have been continued at that point. Raises RequestError where its
    tokens are not found there: some templates write earlier turns in another way than the last one.
    """
    if not isinstance(example.prompt, Dialogue):
        return encoded
    labels = list(encoded.labels)
    for place, turn in enumerate(example.prompt.turns):
        if turn.role != "assistant" or place == 0:
            continue
        before = as_prompt(example.prompt.turns[:place])
        given = encoder.prompt_ids(before, template)
        target = encoder.target_ids(before, turn.content, template, given)
        whole = [*given, *target]
        shown = min(len(whole), len(labels))
        if whole[:shown] != list(encoded.input_ids[:shown]):
            raise RequestError(
                f"data.{role}.turns=every needs a chat template that writes every turn as it writes the last, found "
                f"message {place + 1} of row '{encoded.id}' written otherwise. Set data.{role}.turns=last"
            )
        labels[len(given) : shown] = whole[len(given) : shown]
    return replace(encoded, labels=tuple(labels))
