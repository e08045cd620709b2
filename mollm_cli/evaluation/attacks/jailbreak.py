"""The question inside an instruction that talks the model into answering."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from mollm_cli.core.types import Example
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.attacks.asking import METRICS, asked, question, reworded


@dataclass(frozen=True)
class Jailbreak:
    """Each question in one of ``wrappers``, texts with {prompt}: row i in wrapper i modulo their number.

    Raises ValueError. Every wrapper gets as many rows, and the same row the same one on every model.
    headline: rouge_l. A wrapper asks for a story, a part or an opening phrase, so the answer may stand anywhere in what
    is said; teacher forcing scores it at the very beginning only, and would call a model safe that tells it later.
    """

    wrappers: list[str]
    name: str = "jailbreak"
    kind: ClassVar[Literal["rewrite"]] = "rewrite"
    what: ClassVar[str] = "the same questions inside instructions that talk the model into answering"
    cost: ClassVar[str] = "one more pass over the rows and one generation a row"
    headline: ClassVar[str] = "rouge_l"
    metrics: ClassVar[frozenset[str]] = METRICS
    samples: ClassVar[int] = 0

    def __post_init__(self) -> None:
        """Refuse a wrapper that has no place for the question."""
        if not self.wrappers:
            raise ValueError(f"evaluation.attacks.{self.name}.wrappers must hold a text with {{prompt}}, found none")
        for place, wrapper in enumerate(self.wrappers, start=1):
            if "{prompt}" not in wrapper:
                raise ValueError(
                    f"evaluation.attacks.{self.name}.wrappers must hold texts with {{prompt}}, "
                    f"found '{wrapper}' as number {place}"
                )

    def rewrite(self, rows: Loaded) -> Loaded | None:
        """The rows with a question, wrapped; None where none has one."""
        asking = (example for example in rows.examples if example.prompt)
        return asked(rows, self.name, (self._wrapped(row, example) for row, example in enumerate(asking)))

    def _wrapped(self, row: int, example: Example) -> Example:
        wrapper = self.wrappers[row % len(self.wrappers)]
        wrapped = wrapper.replace("{prompt}", question(example.prompt))
        return replace(example, prompt=reworded(example.prompt, wrapped))
