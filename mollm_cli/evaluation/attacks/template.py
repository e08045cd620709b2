"""The question in another prompt template than the one that was trained with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.attacks.asking import METRICS, asked


@dataclass(frozen=True)
class Template:
    r"""The same question and answer in the plain text ``template``, which has {prompt}. Raises ValueError.

    A chat model then sees no chat at all; a plain one sees other words around the question than
    "Question: {prompt}\nAnswer: ", which is why the default is neither. Rows that are written in it already do not fit.

    headline: probability. The template says where the answer begins, so the answer is scored at its place; a template
    that is merely strange makes it less likely on the yardstick too, which is asked in the same one.
    """

    template: str = "Q: {prompt}\nA: "
    name: str = "template"
    kind: ClassVar[Literal["rewrite"]] = "rewrite"
    what: ClassVar[str] = "the same questions in another prompt template than the one trained with"
    cost: ClassVar[str] = "one more pass over the rows and one generation a row"
    headline: ClassVar[str] = "probability"
    metrics: ClassVar[frozenset[str]] = METRICS
    samples: ClassVar[int] = 0

    def __post_init__(self) -> None:
        """Refuse a template that has no place for the question."""
        if "{prompt}" not in self.template:
            raise ValueError(
                f"evaluation.attacks.{self.name}.template must be a text with {{prompt}}, found '{self.template}'"
            )

    def rewrite(self, rows: Loaded) -> Loaded | None:
        """The rows with a question, in the other template; None where none has one, or it is no other."""
        if rows.dataset.template.strip() == self.template.strip():
            return None
        questions = (example for example in rows.examples if example.prompt)
        return asked(rows, self.name, questions, replace(rows.dataset, template=self.template))
