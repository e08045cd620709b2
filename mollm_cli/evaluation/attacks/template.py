"""The question in another prompt template than the one used in training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.attacks.asking import asked
from mollm_cli.evaluation.attacks.attack_protocol import Rewrite


@dataclass(frozen=True)
class Template(Rewrite):
    r"""The same question and answer in the plain-text ``template``, which holds {prompt}. Raises ValueError.

    A chat model then sees no chat at all; a plain one sees other words around the question than
    "Question: {prompt}\nAnswer: ", which is why the default is neither. Rows already written in it do not fit.

    headline: probability. The template says where the answer begins, so the answer is scored at its place; a merely
    strange template makes it less likely on the yardstick too, which is asked in the same one.
    """

    template: str = "Q: {prompt}\nA: "
    name: str = "template"
    what: ClassVar[str] = "the same questions in another prompt template than the one trained with"

    def __post_init__(self) -> None:
        """Refuse a template that has no place for the question."""
        if "{prompt}" not in self.template:
            raise ValueError(
                f"evaluation.attacks.{self.name}.template must be a text with {{prompt}}, found '{self.template}'"
            )

    def rewrite(self, rows: Loaded) -> Loaded | None:
        """The rows with a question, in the other template; None if no row has one, or if it is the rows' own."""
        if rows.dataset.template.strip() == self.template.strip():
            return None
        questions = (example for example in rows.examples if example.prompt)
        return asked(rows, self.name, questions, replace(rows.dataset, template=self.template))
