"""The question as the second one of a conversation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from mollm_cli.core.types import Example
from mollm_cli.data.dialogue import Turn, as_prompt, turns_of
from mollm_cli.evaluation.attacks.attack_protocol import Rewrite


@dataclass(frozen=True)
class MultiTurn(Rewrite):
    """Each question after ``question`` and ``reply``, which have nothing to do with it. Raises ValueError.

    In a chat template these are a turn of the user and one of the assistant; elsewhere they are a question and its
    answer, written as the rows are, and a blank line before the real question. A system prompt stays first.
    headline: probability. The conversation asks for no other form of the answer, so it is scored at its place.
    """

    question: str
    reply: str
    name: str = "multi_turn"
    what: ClassVar[str] = "the same questions after a turn about something else"

    def __post_init__(self) -> None:
        """Refuse an empty turn."""
        for key, text in (("question", self.question), ("reply", self.reply)):
            if not text.strip():
                raise ValueError(f"evaluation.attacks.{self.name}.{key} must be a text, found it empty")

    def ask(self, place: int, example: Example) -> Example:
        """The row after the other turn."""
        turns = turns_of(example.prompt)
        system = [turn for turn in turns if turn.role == "system"]
        rest = [turn for turn in turns if turn.role != "system"]
        before = [Turn("user", self.question), Turn("assistant", self.reply)]
        return replace(example, prompt=as_prompt([*system, *before, *rest]))
