"""Conversations: turns of system, user, assistant and tool, and the prompt that is made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

BEGUN = "begun"
"""The role of a last turn that is the beginning of an answer, up to its next word: given, and to be gone on with."""


class Turn(NamedTuple):
    """One turn of a conversation; ``role`` is system, user, assistant or tool, of a last one BEGUN too.

    target: whether it may be one, an assistant's turn alone. more: what else a chat template may read of a message
    (tool calls, a name), as JSON; "" without any. The content of a turn that only calls tools is "".
    """

    role: str
    content: str
    target: bool = True
    more: str = ""

    @property
    def taught(self) -> bool:
        """True of a turn that can be a target: the assistant's, with a text, and not one of weight 0."""
        return self.role == "assistant" and self.target and bool(self.content)

    def message(self) -> dict[str, Any]:
        """The turn as chat templates read it."""
        return {"role": self.role, "content": self.content, **(json.loads(self.more) if self.more else {})}


class Dialogue(str):
    """A prompt with more to it than one user's turn: a text to people and metrics, ``turns`` to a chat template."""

    turns: tuple[Turn, ...]

    def __new__(cls, turns: Sequence[Turn]) -> Dialogue:
        """Turns as one text, a paragraph each, with who speaks."""
        self = super().__new__(cls, "\n\n".join(f"{turn.role}: {turn.content}{turn.more}" for turn in turns))
        self.turns = tuple(turns)
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Arguments that copies are made from."""
        return (self.turns,)


def turns_of(prompt: str) -> tuple[Turn, ...]:
    """The turns of a prompt; of a plain one the user's."""
    return prompt.turns if isinstance(prompt, Dialogue) else (Turn("user", prompt),)


def split_begun(prompt: str) -> tuple[tuple[Turn, ...], str]:
    """(the turns of a prompt, the beginning of the answer to them, "" where none is given)."""
    turns = turns_of(prompt)
    return (turns[:-1], turns[-1].content) if turns[-1].role == BEGUN else (turns, "")


def as_prompt(turns: Sequence[Turn], system: str | None = None) -> str:
    """``turns`` as a prompt, ``system`` before them unless they have a system turn; a lone user's turn is its text."""
    if system and not any(turn.role == "system" for turn in turns):
        turns = (Turn("system", system), *turns)
    if len(turns) == 1 and turns[0].role == "user" and not turns[0].more:
        return turns[0].content
    return Dialogue(turns)


def question_and_answer(turns: tuple[Turn, ...]) -> tuple[tuple[Turn, ...], str]:
    """(turns before the assistant's last one that can be a target, its content); what follows it is left out.

    Raises ValueError, whose text goes on after "must hold".
    """
    spoken = [place for place, turn in enumerate(turns) if turn.role == "assistant"]
    if not spoken:
        raise ValueError(f"a message of the assistant, found {', '.join(turn.role for turn in turns) or 'no message'}")
    last = max((place for place in spoken if turns[place].taught), default=None)
    if last is None:
        raise ValueError(
            f"a message of the assistant with text and of a weight above 0, found none among its {len(spoken)}"
        )
    if all(turn.role != "user" for turn in turns[:last]):
        raise ValueError("a message of the user before the assistant's last one, found none")
    return turns[:last], turns[last].content
