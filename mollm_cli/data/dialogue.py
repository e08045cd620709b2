"""Conversations: turns of system, user and assistant, and the prompt that is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mollm_cli.core.discretion import told

NAMES = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
}  # fmt: skip
"""Who speaks, in the spellings of OpenAI (role, content), ShareGPT (from, value) and OpenAssistant (role, text)."""


BEGUN = "begun"
"""The role of a last turn that is the beginning of an answer, up to its next word: given, and to be gone on with."""


class Turn(NamedTuple):
    """One turn of a conversation; ``role`` is system, user or assistant, of a last one BEGUN too."""

    role: str
    content: str


class Dialogue(str):
    """A prompt with more to it than one user's turn: a text to people and metrics, ``turns`` to a chat template."""

    turns: tuple[Turn, ...]

    def __new__(cls, turns: Sequence[Turn]) -> Dialogue:
        """Turns as one text, a paragraph each, with who speaks."""
        self = super().__new__(cls, "\n\n".join(f"{turn.role}: {turn.content}" for turn in turns))
        self.turns = tuple(turns)
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        """The turns, as copies of the dialogue are built from them."""
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
    if len(turns) == 1 and turns[0].role == "user":
        return turns[0].content
    return Dialogue(turns)


def read_turns(messages: Any) -> tuple[Turn, ...]:
    """The turns in a list of messages. Raises ValueError, whose text goes on after "must hold"."""
    if not isinstance(messages, list | tuple):
        raise ValueError(f"a list of messages, found {type(messages).__name__}")
    turns = tuple(_turn(message, place) for place, message in enumerate(messages, start=1))
    if any(turn.role == "system" for turn in turns[1:]):
        raise ValueError("its system message first, found another message before it")
    return turns


def question_and_answer(turns: tuple[Turn, ...]) -> tuple[tuple[Turn, ...], str]:
    """(turns before the last assistant's, its content); what follows it is left out. Raises ValueError as above."""
    last = max((place for place, turn in enumerate(turns) if turn.role == "assistant"), default=None)
    if last is None:
        raise ValueError(f"a message of the assistant, found {', '.join(turn.role for turn in turns) or 'no message'}")
    if all(turn.role != "user" for turn in turns[:last]):
        raise ValueError("a message of the user before the assistant's last one, found none")
    return turns[:last], turns[last].content


def _turn(message: Any, place: int) -> Turn:
    if not isinstance(message, Mapping):
        raise ValueError(f"messages with role and content, found {type(message).__name__} as message {place}")
    who = message.get("role", message.get("from"))
    content = next((message[key] for key in ("content", "value", "text") if key in message), None)
    if not isinstance(who, str) or who.lower() not in NAMES:
        raise ValueError(f"roles out of {', '.join(NAMES)}, found {told(who)} in message {place}")
    if not isinstance(content, str) or not content.strip():
        found = "it empty" if isinstance(content, str) else type(content).__name__
        raise ValueError(f"text in every message, found {found} in message {place}")
    return Turn(NAMES[who.lower()], content)
