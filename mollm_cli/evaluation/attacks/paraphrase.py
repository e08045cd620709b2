"""The question in other words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from mollm_cli.core.types import Example
from mollm_cli.evaluation.attacks.asking import reworded
from mollm_cli.evaluation.attacks.attack_protocol import Rewrite


@dataclass(frozen=True)
class Paraphrase(Rewrite):
    """The row's paraphrased_question in place of its question, with the same answer; rows without one are left out.

    headline: probability. The answer is the same text at the same place, and a paraphrase asks for no other form, so
    teacher forcing finds knowledge even where greedy decoding prefers other words.
    Source: probabilities under paraphrased questions (OpenUnlearning, arXiv 2506.12618).
    """

    name: str = "paraphrase"
    what: ClassVar[str] = "each row's question in other words, as the dataset has them"

    def ask(self, place: int, example: Example) -> Example | None:
        """The row with its paraphrased question."""
        if not example.paraphrased_question:
            return None
        return replace(example, prompt=reworded(example.prompt, example.paraphrased_question))
