"""Start and end tokens that rows bring with them: each counts once, and it is told how many rows have one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from mollm_cli.core.types import Example
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.load_dataset import Loaded


def without_ends(loaded: Mapping[str, Loaded], encoder: Encoder) -> dict[str, Loaded]:
    """``loaded`` with answers that are texts alone, without end tokens behind them, as metrics compare them."""
    return {role: replace(rows, examples=[_bare(e, encoder) for e in rows.examples]) for role, rows in loaded.items()}


def doubled(loaded: Mapping[str, Loaded], encoder: Encoder) -> Iterator[str]:
    """A line for each source whose rows begin or end in a token that they are given anyway; no text of theirs."""
    ends = _counted(loaded, lambda example, _: encoder.bare(example.answer) != example.answer)
    for source, (rows, found) in ends.items():
        if found:
            yield f"{source}: {found} of {rows} answers end in an end token of the model; it counts once"
    starts = _counted(loaded, encoder.opens_twice)
    for source, (rows, found) in starts.items():
        if found:
            yield f"{source}: {found} of {rows} texts begin as the tokenizer begins every text; it counts once"
    if encoder.turn_end.twice:
        yield "the tokenizer's chat template writes the start token twice; it counts once"


def _counted(loaded: Mapping[str, Loaded], has: Callable[[Example, str], bool]) -> dict[str, tuple[int, int]]:
    """By roles and files, (rows, rows that have it); roles of the same files are one."""
    roles: dict[str, list[str]] = {}
    rows: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for role, each in loaded.items():
        files = [str(file["path"]) for file in each.fingerprint.get("files", ())]
        source = ", ".join(files) or str(each.fingerprint.get("name", role))
        roles.setdefault(source, []).append(f"data.{role}")
        rows[source] += len(each.examples)
        found[source] += sum(has(example, each.dataset.template) for example in each.examples)
    return {f"{', '.join(names)} ({source})": (rows[source], found[source]) for source, names in roles.items()}


def _bare(example: Example, encoder: Encoder) -> Example:
    """``example`` itself where no answer of it ends in an end token."""
    paraphrase = None if example.paraphrased_answer is None else encoder.bare(example.paraphrased_answer)
    others = tuple(map(encoder.bare, example.perturbed_answers))
    bare = replace(
        example, answer=encoder.bare(example.answer), paraphrased_answer=paraphrase, perturbed_answers=others
    )
    return example if bare == example else bare
