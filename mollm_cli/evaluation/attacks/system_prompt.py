"""The question under another system prompt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from mollm_cli.core.types import Example
from mollm_cli.data.dialogue import as_prompt, turns_of
from mollm_cli.evaluation.attacks.attack_protocol import Rewrite


@dataclass(frozen=True)
class SystemPrompt(Rewrite):
    """The text ``system`` before each question; it replaces the row's own system prompt. Raises ValueError.

    In a chat template it is the system turn, elsewhere a paragraph before the question, as ``Dataset.system`` is.
    headline: probability. Nothing asks for another form of the answer, so it is scored at its place.
    """

    system: str
    name: str = "system_prompt"
    what: ClassVar[str] = "the same questions under another system prompt"

    def __post_init__(self) -> None:
        """Refuse an empty text."""
        if not self.system.strip():
            raise ValueError(f"evaluation.attacks.{self.name}.system must be a text, found it empty")

    def ask(self, place: int, example: Example) -> Example:
        """The row under the system prompt."""
        turns = [turn for turn in turns_of(example.prompt) if turn.role != "system"]
        return replace(example, prompt=as_prompt(turns, self.system))
