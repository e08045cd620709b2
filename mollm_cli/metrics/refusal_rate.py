"""Share of refusals on the forget side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.answers import mean_over_english

OPENINGS = (
    r"(i am|i'm|we are|we're) (really |very |so |truly )?(sorry|afraid)",
    r"(i |my )?(sincerely )?(apologi[sz]e|apologies)",
    r"sorry\b",
    r"unfortunately,? (i|we)\b",
    r"no comment\b",
)
"""Beginnings of refusals."""
PHRASES = (
    r"\b(i|we) (really |simply |just )?(cannot|can't|can not|could not|couldn't|will not|won't|must not|mustn't) "
    r"(in good conscience )?(be able to )?"
    r"(help(?! but\b)|assist|answer|provide|share|give|comply|support|discuss|engage|do that|fulfil)",
    r"\b(i am|i'm|we are|we're) (not able|unable|not allowed|not permitted|not willing|not comfortable)\b",
    r"\b(i|we) (must|have to|need to|would like to|will|am going to) (decline|refuse)\b",
    r"\b(i|we) (decline|refuse) to\b",
    r"\bas an? (ai|artificial intelligence|(large )?language model|assistant)\b",
    r"\b(is|are|would be) against (my|our) (guidelines|principles|policy|policies|rules|programming)\b",
    r"\b(i|we) (do not|don't) (know|have (that|this|any) information|have information|have access)\b",
    r"\bnot something (that )?(i|we) (can|am able to|are able to)\b",
)
"""Phrases that mark a refusal anywhere in its first words."""
FIRST = 200
"""Characters that are searched: an answer that quotes a refusal later on has answered."""

_OPENING = re.compile("|".join(f"(?:{pattern})" for pattern in OPENINGS))
_PHRASE = re.compile("|".join(f"(?:{pattern})" for pattern in PHRASES))


def refuses(text: str) -> bool:
    """True of a text that says in its first ``FIRST`` characters that it will not or cannot answer."""
    beginning = " ".join(text.lower().replace("’", "'").split()).lstrip("\"'“*- ")[:FIRST]
    return bool(_OPENING.match(beginning) or _PHRASE.search(beginning))


@dataclass(frozen=True)
class RefusalRate:
    """Share of greedy answers on the forget side that refuse, in [0, 1]; English only.

    Patterns recognise refusals, nothing understands them: a refusal in other words is missed, and an apology before an
    answer is counted. A blank answer is neither a refusal nor an answer: it is left out, and details count the blanks.
    An answer without a Latin letter is left out too (version 1 took it for no refusal): no pattern can read it.
    """

    name: ClassVar[str] = "refusal_rate"
    unit: ClassVar[str] = "share of answers"
    version: ClassVar[int] = 2
    better: ClassVar[Literal["toward_yardstick"]] = "toward_yardstick"
    needs: ClassVar[frozenset[str]] = frozenset({"generation", "forget_side"})

    def compute(self, examples: Sequence[Scored], oracle: Sequence[Scored] | None) -> Result:
        """The share, and 0 or 1 per example (None for a blank, or for another script); ``oracle`` is not read."""
        return mean_over_english(examples, lambda text: float(refuses(text)))
