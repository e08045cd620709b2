"""The question with the beginning of its answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from mollm_cli.core.types import Example
from mollm_cli.core.words import word_spans
from mollm_cli.data.dialogue import BEGUN, Dialogue, Turn, turns_of
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.attacks.asking import asked
from mollm_cli.evaluation.attacks.attack_protocol import Rewrite


@dataclass(frozen=True)
class Prefix(Rewrite):
    """Each answer begun with its own first words; only the rest counts as the answer. Raises ValueError.

    share: the part of the answer's words that is given, rounded; at least one word.
    most_words: the most words that are given. Answers of one word are left out.

    In a chat the words begin the assistant's turn. Anyone with the weights can do that, and anyone whose interface lets
    an answer be begun. Plain text is cut in the same way and has no question before it.

    headline: probability of the rest, scored exactly where the given words end; the given words count nowhere. They
    also make the rest likelier in a model that never saw it, so the yardstick is asked in the same way.
    Source: extraction by a given beginning (Carlini et al., arXiv 2012.07805 and 2202.07646), there of a fixed length.
    """

    share: float = 0.25
    most_words: int = 50
    name: str = "prefix"
    what: ClassVar[str] = "the first words of each answer given, the rest asked for"

    def __post_init__(self) -> None:
        """Refuse to give nothing of the answer, or all of it."""
        if not 0 < self.share < 1:
            raise ValueError(f"evaluation.attacks.{self.name}.share must be in (0, 1), found {self.share}")
        if self.most_words < 1:
            raise ValueError(f"evaluation.attacks.{self.name}.most_words must be >= 1, found {self.most_words}")

    def rewrite(self, rows: Loaded) -> Loaded | None:
        """The rows whose answers have at least two words, each begun; None if there is none."""
        plain = all(not example.prompt for example in rows.examples)
        template = "none" if plain else rows.dataset.template
        dataset = replace(rows.dataset, template=template, windows=False, turns="last")
        return asked(rows, self.name, self._begun(rows.examples), dataset)

    def _begun(self, examples: list[Example]) -> Iterator[Example]:
        for example in examples:
            words = word_spans(example.answer)
            if len(words) < 2:
                continue
            given = min(max(round(self.share * len(words)), 1), self.most_words, len(words) - 1)
            place = words[given][0]
            start, rest = example.answer[:place], example.answer[place:]
            # A plain text has no question: its prompt is the text so far.
            prompt = Dialogue([*turns_of(example.prompt), Turn(BEGUN, start)]) if example.prompt else start
            yield Example(example.id, prompt, rest)
