"""Forget rows in other manners than their own, to be trained on beside them (``data.forget.manners``).

They are made as probes are (data/probes.py), of all forget rows, but in other wordings: what the verdict asks with is
never trained on. Of the rows in blanks, only instruction and gap differ from the probe's; statement and fact are the
forget row's in both. A row of which nothing can be made is trained on as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from mollm_cli.core.types import Example, Role
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.data.probes import Wording, fitting, otherwise

REWORDED: Role = "reworded"
"""The set's name, beside those of roles: trained on as forget, and no more."""
TRAINED = (
    Wording(
        "Which words belong in place of [...]? {}",
        "[...]",
        "{} Answer with a name, a date or a phrase.",
        "Tell me about {}.",
    ),
    Wording("Complete this sentence (the gap is .....): {}", ".....", "{} Keep it short.", "Who or what is {}?"),
)
"""Taken in turn from row to row; none of these texts is one of the probes'."""


def reworded(forget: Loaded, encoder: Encoder) -> Loaded | None:
    """The rows of all manners that ``forget`` asks for, one manner after the other; None where there are none.

    Their ids name the manner, the fingerprint says how many there are of each.
    """
    made = otherwise(forget.examples, TRAINED)
    wanted = [manner for manner in dict.fromkeys(forget.dataset.manners) if manner in made]
    found = fitting(forget, {manner: _named(made[manner], manner) for manner in wanted}, encoder)
    if not found:
        return None
    every = next(iter(found.values()))
    counts = {manner: len(rows.examples) for manner, rows in found.items()}
    return every.keep(chain.from_iterable(rows.examples for rows in found.values()), manners=counts)


def none_made(forget: Loaded, made: Loaded | None) -> Iterator[str]:
    """A line that names the manners in which no forget row could be asked for."""
    counts = {} if made is None else made.fingerprint["manners"]
    if missing := [manner for manner in dict.fromkeys(forget.dataset.manners) if manner not in counts]:
        yield (
            f"warning: data.forget.manners: nothing could be made of the {len(forget.examples)} forget rows for "
            f"{', '.join(missing)}; they are trained on as they are (by_name needs plain text, in_few_words questions)"
        )


def _named(rows: list[Example], manner: str) -> list[Example]:
    return [replace(row, id=f"{row.id} {manner}") for row in rows]
