"""The beginning of the answer given away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from mollm_cli.core.types import Example
from mollm_cli.data.dialogue import BEGUN, Dialogue, Turn, turns_of
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.attacks.asking import METRICS, asked


@dataclass(frozen=True)
class Prefix:
    """The first words of each answer given, only the rest is the answer. Raises ValueError.

    share: of its words, rounded; one word at least and ``most_words`` at most. Rows of one word are left out. In a chat
    the assistant's turn begins so: what someone with the weights, or an interface that lets an answer be begun, can do.
    Plain text is cut in the same way and has no question before it.

    headline: probability of the rest. It begins exactly where the given words end, so that is where it is scored; the
    given words themselves count nowhere. They also make the rest likelier in a model that never saw it, therefore the
    same is done on the yardstick.
    Source: extraction by a given beginning (Carlini et al., arXiv 2012.07805 and 2202.07646), there of a fixed length.
    """

    share: float = 0.25
    most_words: int = 50
    name: str = "prefix"
    kind: ClassVar[Literal["rewrite"]] = "rewrite"
    what: ClassVar[str] = "the first words of each answer given, the rest asked for"
    cost: ClassVar[str] = "one more pass over the rows and one generation a row"
    headline: ClassVar[str] = "probability"
    metrics: ClassVar[frozenset[str]] = METRICS
    samples: ClassVar[int] = 0

    def __post_init__(self) -> None:
        """Refuse a share that gives all or nothing away."""
        if not 0 < self.share < 1:
            raise ValueError(f"evaluation.attacks.{self.name}.share must be in (0, 1), found {self.share}")
        if self.most_words < 1:
            raise ValueError(f"evaluation.attacks.{self.name}.most_words must be >= 1, found {self.most_words}")

    def rewrite(self, rows: Loaded) -> Loaded | None:
        """The rows whose answers have two words or more, begun; None where none has."""
        plain = all(not example.prompt for example in rows.examples)
        template = "none" if plain else rows.dataset.template
        dataset = replace(rows.dataset, template=template, windows=False, turns="last")
        return asked(rows, self.name, self._begun(rows.examples), dataset)

    def _begun(self, examples: list[Example]) -> Iterator[Example]:
        for example in examples:
            words = list(re.finditer(r"\S+", example.answer))
            if len(words) < 2:
                continue
            given = min(max(round(self.share * len(words)), 1), self.most_words, len(words) - 1)
            start, rest = example.answer[: words[given - 1].end()], example.answer[words[given].start() :]
            # Of a plain text the prompt is the text so far, its last space included.
            prompt = Dialogue([*turns_of(example.prompt), Turn(BEGUN, start)]) if example.prompt else f"{start} "
            yield Example(example.id, prompt, rest)
