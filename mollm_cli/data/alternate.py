"""Other answers to the forget prompts, row by row beside the rows to forget (as DPO-like losses read them)."""

from __future__ import annotations

from collections import defaultdict

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.data.identity import subject
from mollm_cli.data.load_dataset import Loaded


def follow(forget: Loaded, alternate: Loaded) -> Loaded:
    """``alternate`` in the order of ``forget``: row i answers the prompt of row i. Others' prompts are left out.

    Of several alternates to a prompt each is taken in turn. Rows that answer none of the forget prompts (answers of
    another kind, drawn at random) stay as they are. Raises RequestError where only some prompts have an alternate.
    """
    answers: dict[str, list[Example]] = defaultdict(list)
    for example in alternate.examples:
        answers[subject(example)].append(example)
    missing = [example.id for example in forget.examples if subject(example) not in answers]
    if len(missing) == len(forget.examples):
        return alternate
    if missing:
        raise RequestError(
            f"data.alternate must answer every prompt of data.forget or none of them, found none for {len(missing)} of "
            f"{len(forget.examples)} rows, the first is '{missing[0]}'. Add them, or read the forget rows themselves "
            "with other answers: data.alternate.answers=[...]"
        )
    taken: dict[str, int] = defaultdict(int)
    rows = []
    for example in forget.examples:
        others = answers[subject(example)]
        rows.append(others[taken[subject(example)] % len(others)])
        taken[subject(example)] += 1
    return alternate.keep(rows, follows="forget")
