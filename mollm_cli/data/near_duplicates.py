"""Rows that say about the same as one of the rows to forget: retained, they would bring it back."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.core.words import words
from mollm_cli.data.load_dataset import Loaded

ROUNDING = 1e-9
"""0.56 * 25 is more than 14 in binary; the threshold itself counts as reached."""
Word = tuple[str, int]
"""A word and which occurrence of it this is, so that a text is a set of them."""


class NearDuplicates:
    """Rows of which some are looked for: ``similarity >= threshold`` in (0, 1].

    similarity(a, b) = |a & b| / |a | b| over the words of prompt and answer, counted as often as they occur, case and
    punctuation aside (Jaccard). Exact, not sampled: two sets that similar share one of the first
    |a| - ceil(threshold |a|) + 1 words of either in any one order, and the order is from rare to frequent, so few pairs
    are compared (prefix filtering: Chaudhuri, Ganti, Kaushik 2006). Raises ValueError.
    """

    def __init__(self, examples: Sequence[Example], threshold: float) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"near_duplicates must be in (0, 1] or null, found {threshold}")
        self.threshold = threshold
        self.sets = [frozenset(counted_words(example)) for example in examples]
        self.frequency = Counter(word for found in self.sets for word in found)
        self.places: dict[Word, list[int]] = defaultdict(list)
        for place, found in enumerate(self.sets):
            for word in self._prefix(found):
                self.places[word].append(place)

    def find(self, example: Example) -> int | None:
        """The place of a row that ``example`` is a near duplicate of, or None."""
        found = frozenset(counted_words(example))
        candidates = {place for word in self._prefix(found) for place in self.places.get(word, ())}
        return next((place for place in sorted(candidates) if self._similar(found, self.sets[place])), None)

    def _similar(self, one: frozenset[Word], other: frozenset[Word]) -> bool:
        shared = len(one & other)
        return shared > 0 and shared >= self.threshold * (len(one) + len(other) - shared) - ROUNDING

    def _prefix(self, found: Iterable[Word]) -> list[Word]:
        ordered = sorted(found, key=lambda word: (self.frequency[word], word))
        return ordered[: len(ordered) - math.ceil(self.threshold * len(ordered) - ROUNDING) + 1]


def counted_words(example: Example) -> list[Word]:
    """The words of prompt and answer (core/words.py), each with its number among its like."""
    seen: Counter[str] = Counter()
    found = []
    for word in words(f"{example.prompt} {example.answer}"):
        seen[word] += 1
        found.append((word, seen[word]))
    return found


def drop_near_duplicates(
    forget: Sequence[Example], retain: Loaded, threshold: float, key: str = "data.retain"
) -> Loaded:
    """``retain`` without near duplicates of ``forget``, whose ids go into the fingerprint.

    Raises RequestError where none would be left.
    """
    known = NearDuplicates(forget, threshold)
    near = [example.id for example in retain.examples if known.find(example) is not None]
    if len(near) == len(retain.examples):
        raise RequestError(
            f"{key} must hold rows that are no near duplicates of data.forget, found all {len(near)} to be. "
            f"Set data.near_duplicates higher than {threshold}, or null, or {key}.path to another file"
        )
    left_out = set(near)
    kept = (example for example in retain.examples if example.id not in left_out)
    return retain.keep(kept, near_duplicates={"threshold": threshold, "left_out": near})
