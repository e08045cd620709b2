"""Long texts as several rows, so that nothing of them is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import IGNORE, Encoded, Example, Role

if TYPE_CHECKING:
    from mollm_cli.data.encoder import Encoder


def encode_windows(encoder: Encoder, example: Example, max_tokens: int, role: Role = "<role>") -> list[Encoded]:
    """A text in windows of at most ``max_tokens`` tokens, every token of it (the end token too) a target once.

    A window begins as every text does (with the tokens that the tokenizer puts first), then with the last token of the
    window before: both are given and no target, so that the first target of a window has a predecessor and none is
    lost or doubled. Only the very first token of a text whose tokenizer puts nothing first has none, and is no target.
    A text of one window is encoded as without windows; of several, ids end in #1, #2, ... Raises RequestError where
    ``max_tokens`` has no room for a target.
    """
    lead, body = encoder.text_ids(example.answer)
    if len(lead) + len(body) <= max_tokens:
        return [_window(example.id, lead, body)]
    room = max_tokens - len(lead) - 1
    if room < 1:
        raise RequestError(
            f"data.{role}.max_tokens must be >= {len(lead) + 2} where windows=true, found {max_tokens}. "
            f"Set data.{role}.max_tokens=512"
        )
    first = body[: room + 1]
    windows = [_window(f"{example.id}#1", lead, first)]
    for number, start in enumerate(range(len(first), len(body), room), start=2):
        given = [*lead, body[start - 1]]
        windows.append(_window(f"{example.id}#{number}", given, body[start : start + room]))
    return windows


def overlapping_windows(
    encoder: Encoder, text: str, max_tokens: int, id: str = "", role: Role = "<role>"
) -> list[Encoded]:
    """A text in windows of at most ``max_tokens`` tokens that overlap by half, for measuring what a model says of it.

    Every token of it (the end token too) is a target once, in the first window that holds it; each window begins as
    every text does. So every target has at least half a window before it, or all of the text there is. Only the very
    first token of a text whose tokenizer puts nothing first is no target. Raises RequestError where ``max_tokens`` has
    no room for two tokens of the text.
    """
    lead, body = encoder.text_ids(text)
    room = max_tokens - len(lead)
    if len(body) <= room:
        return [_window(id, lead, body)]
    if room < 2:
        raise RequestError(
            f"data.{role}.max_tokens must be >= {len(lead) + 2} where windows=true, found {max_tokens}. "
            f"Set data.{role}.max_tokens=512"
        )
    stride = room // 2
    windows = [_window(id, lead, body[:room])]
    for scored in range(room, len(body), stride):
        new = body[scored : scored + stride]
        windows.append(_window(id, [*lead, *body[scored - (room - stride) : scored]], new))
    return windows


def _window(id: str, given: list[int], target: list[int]) -> Encoded:
    labels = [IGNORE] * len(given) + target
    return Encoded(id, tuple(given + target), (IGNORE, *labels[1:]))
