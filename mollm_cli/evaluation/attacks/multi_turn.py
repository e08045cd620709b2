"""The question as the second one of a conversation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from mollm_cli.data.dialogue import Turn, as_prompt, turns_of
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.attacks.asking import METRICS, asked


@dataclass(frozen=True)
class MultiTurn:
    """Each question after ``question`` and ``reply``, which have nothing to do with it. Raises ValueError.

    In a chat template these are a turn of the user and one of the assistant; elsewhere a question and its answer
    written as the rows are, a blank line before the real one. A system prompt stays first.
    headline: probability. The conversation asks for no other form of the answer, so it is scored at its place.
    """

    question: str
    reply: str
    name: str = "multi_turn"
    kind: ClassVar[Literal["rewrite"]] = "rewrite"
    what: ClassVar[str] = "the same questions after a turn about something else"
    cost: ClassVar[str] = "one more pass over the rows and one generation a row"
    headline: ClassVar[str] = "probability"
    metrics: ClassVar[frozenset[str]] = METRICS
    samples: ClassVar[int] = 0

    def __post_init__(self) -> None:
        """Refuse an empty turn."""
        for key, text in (("question", self.question), ("reply", self.reply)):
            if not text.strip():
                raise ValueError(f"evaluation.attacks.{self.name}.{key} must be a text, found it empty")

    def rewrite(self, rows: Loaded) -> Loaded | None:
        """The rows with a question, after the other turn; None where none has one."""
        examples = (
            replace(example, prompt=self._continued(example.prompt)) for example in rows.examples if example.prompt
        )
        return asked(rows, self.name, examples)

    def _continued(self, prompt: str) -> str:
        turns = turns_of(prompt)
        system = [turn for turn in turns if turn.role == "system"]
        rest = [turn for turn in turns if turn.role != "system"]
        return as_prompt([*system, Turn("user", self.question), Turn("assistant", self.reply), *rest])
