"""The question inside an instruction that talks the model into answering."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from mollm_cli.core.types import Example
from mollm_cli.evaluation.attacks.asking import question, reworded
from mollm_cli.evaluation.attacks.attack_protocol import Rewrite


@dataclass(frozen=True)
class Jailbreak(Rewrite):
    """Each question inside one of ``wrappers``, which are texts with {prompt}. Raises ValueError.

    Row i is put into wrapper i modulo their number, so that every wrapper gets equally many rows and a row gets the
    same wrapper on every model.
    headline: rouge_l. A wrapper asks for a story, a part or an opening phrase, so the answer may stand anywhere in the
    generated text. Teacher forcing scores it at the very beginning only, and would call a model safe that gives the
    answer later.
    """

    wrappers: list[str]
    name: str = "jailbreak"
    what: ClassVar[str] = "the same questions inside instructions that talk the model into answering"
    headline: ClassVar[str] = "rouge_l"

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

    def ask(self, place: int, example: Example) -> Example:
        """The row inside its wrapper."""
        wrapper = self.wrappers[place % len(self.wrappers)]
        wrapped = wrapper.replace("{prompt}", question(example.prompt))
        return replace(example, prompt=reworded(example.prompt, wrapped))
