"""The question under another system prompt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from mollm_cli.data.dialogue import as_prompt, turns_of
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.attacks.asking import METRICS, asked


@dataclass(frozen=True)
class SystemPrompt:
    """The text ``system`` before each question, in place of a system prompt that is there. Raises ValueError.

    In a chat template it is the system turn, elsewhere a paragraph before the question, as ``Dataset.system`` is.
    headline: probability. Nothing asks for another form of the answer, so it is scored at its place.
    """

    system: str
    name: str = "system_prompt"
    kind: ClassVar[Literal["rewrite"]] = "rewrite"
    what: ClassVar[str] = "the same questions under another system prompt"
    cost: ClassVar[str] = "one more pass over the rows and one generation a row"
    headline: ClassVar[str] = "probability"
    metrics: ClassVar[frozenset[str]] = METRICS
    samples: ClassVar[int] = 0

    def __post_init__(self) -> None:
        """Refuse an empty text."""
        if not self.system.strip():
            raise ValueError(f"evaluation.attacks.{self.name}.system must be a text, found it empty")

    def rewrite(self, rows: Loaded) -> Loaded | None:
        """The rows with a question, under the system prompt; None where none has one."""
        examples = (
            replace(example, prompt=self._under_system(example.prompt)) for example in rows.examples if example.prompt
        )
        return asked(rows, self.name, examples)

    def _under_system(self, prompt: str) -> str:
        turns = [turn for turn in turns_of(prompt) if turn.role != "system"]
        return as_prompt(turns, self.system)
