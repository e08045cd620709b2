"""Rows set aside for testing, by seed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from mollm_cli.core.types import Example
from mollm_cli.data.identity import subject


def carve(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """(training rows, test rows), both in the order they came in.

    Rows of one prompt stay together, so no test prompt is ever trained on. Prompts are drawn in the order of a hash of
    seed and prompt until ``share`` of the rows is reached: the draw does not depend on the order of the rows. At least
    one row is set aside and one prompt is left for training; with a single prompt, or share 0, nothing is set aside.
    """
    groups: dict[str, int] = defaultdict(int)
    for example in examples:
        groups[subject(example)] += 1
    wanted = max(1, round(share * len(examples))) if share > 0 else 0
    drawn: set[str] = set()
    rows = 0
    for prompt in sorted(groups, key=lambda text: hashlib.sha256(f"{seed}:{text}".encode()).digest())[:-1]:
        if rows >= wanted:
            break
        drawn.add(prompt)
        rows += groups[prompt]
    training = [example for example in examples if subject(example) not in drawn]
    return training, [example for example in examples if subject(example) in drawn]
