"""The columns of a file in a message: names that are known by name, others by place and length."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from mollm_cli.core.discretion import in_clear
from mollm_cli.core.printable import printable
from mollm_cli.data.column_names import KEYS
from mollm_cli.data.columns import plain
from mollm_cli.data.compression import bare
from mollm_cli.data.dataset import NEEDED, Dataset

NAMES = """
answer answers best_answer category chat choices chosen completion content context conversation conversations document
goal gt harm history id ids index input instruction is_safe label labels level mc1_targets mc2_targets message messages
name output options paraphrased_answer paraphrased_question passage perturbed_answer prompt prompts query question
questions rejected response responses role row safe score severity source split story subject summary system target
targets task text title topic type url user user_id value
"""
KNOWN = frozenset(NAMES.split()) | KEYS.keys()
"""Names of columns as published training sets have them, plain: no person is called so."""
MOST = 12
"""The number of columns that a message names."""
LONG = 60
"""Characters that a header cell hardly has."""
VALUE = re.compile(r"[\w.+-]+@[\w-]+\.\w+|\d[\d\s./:-]*|\S+(\s+\S+){3,}|.*[.!?]")
"""A cell that is an address, a number or a date, four words or a sentence."""


def is_known(name: str) -> bool:
    """True if a column is called as those of published training sets are; its name may be told."""
    return plain(name) in KNOWN


def mentioned(dataset: Dataset) -> set[str]:
    """The names of columns that the description names, which its author has typed."""
    extra = ("paraphrased_question", "paraphrased_answer", "perturbed", "input", "system", "history")
    options = (*(f"{name}_field" for name in extra), *sum(NEEDED.values(), ()))
    fields = [getattr(dataset, option) for option in options]
    paths = [name for field in fields for name in ([field] if isinstance(field, str) else field or ())]
    paths += [name for variant in dataset.variants for pair in variant.items() for name in pair] + list(dataset.filter)
    return {part for path in paths for part in (path.removesuffix("?"), path.split(".")[0])}


def columns(found: Collection[str], known: Collection[str] = ()) -> str:
    """The names ``found`` as a message may hold them; ``known``: names that may be told beside KNOWN."""
    if in_clear():
        return printable(", ".join(found), one_line=True) or "none"
    told = [name for name in found if is_known(name) or name in known]
    others = [(place, len(name)) for place, name in enumerate(found, start=1) if name not in told]
    named = [printable(name, one_line=True) for name in told]
    parts = [*named[:MOST], *([f"{len(named) - MOST} more"] if len(named) > MOST else []), *_others(others)]
    return ", ".join(parts) or "none"


def _others(others: list[tuple[int, int]]) -> Iterable[str]:
    if not others:
        return
    what = "a column of another name" if len(others) == 1 else f"{len(others)} columns of other names"
    places = ", ".join(f"column {place} of {length} characters" for place, length in others[:MOST])
    yield f"{what} ({places}{', ...' if len(others) > MOST else ''}; evaluation.keep_text=true shows names)"


def looks_like_row(cells: Collection[str], known: Collection[str] = ()) -> bool:
    """True if the first line of a CSV is hardly a header: no name is known, and a cell is empty, long or a value."""
    if any(is_known(cell) or cell in known for cell in cells):
        return False
    return any(len(cell) > LONG or not cell.strip() or VALUE.fullmatch(cell.strip()) for cell in cells)


def row_for_header(cells: Collection[str], header: str = "question,answer") -> str:
    """The words for a CSV without a header, to go on after "found"."""
    lengths = " and ".join(str(len(cell)) for cell in list(cells)[:MOST]) + (" and more" if len(cells) > MOST else "")
    shown = f" ({columns(cells)})" if in_clear() else ""
    return (
        f"{len(cells)} cells of {lengths} characters{shown}: the first line looks like a row, not a header. Add a "
        f"header line such as {header}"
    )


def found_in(row_values: Collection[str], source: str, dataset: Dataset) -> str:
    """The columns of a row of ``source``, or that they are none; goes on after "found"."""
    known = mentioned(dataset)
    if bare(source).lower().endswith((".csv", ".tsv")) and looks_like_row(row_values, known):
        first = (getattr(dataset, option) for option in NEEDED[dataset.kind])
        return row_for_header(
            row_values, ",".join(name if isinstance(name, str) else name[0] for name in first if name)
        )
    return columns(row_values, known)
