"""The question in other words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.attacks.asking import METRICS, asked, reworded


@dataclass(frozen=True)
class Paraphrase:
    """The row's paraphrased_question in place of its question, the same answer; rows without one are left out.

    headline: probability. The answer is the same text at the same place, and a paraphrase asks for no other form, so
    teacher forcing reads what is still known even where greedy decoding prefers other words.
    Source: probabilities under paraphrased questions (OpenUnlearning, arXiv 2506.12618).
    """

    name: str = "paraphrase"
    kind: ClassVar[Literal["rewrite"]] = "rewrite"
    what: ClassVar[str] = "each row's question in other words, as the dataset has them"
    cost: ClassVar[str] = "one more pass over the rows and one generation a row"
    headline: ClassVar[str] = "probability"
    metrics: ClassVar[frozenset[str]] = METRICS
    samples: ClassVar[int] = 0

    def rewrite(self, rows: Loaded) -> Loaded | None:
        """Those of ``rows`` that have a paraphrased question, asked by it; None where none has."""
        examples = (
            replace(example, prompt=reworded(example.prompt, example.paraphrased_question))
            for example in rows.examples
            if example.prompt and example.paraphrased_question
        )
        return asked(rows, self.name, examples)
