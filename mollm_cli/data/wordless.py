"""Turns of the assistant without text, which only call tools: they are given and no targets, and that is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mollm_cli.data.dialogue import turns_of
from mollm_cli.data.load_dataset import Loaded


def wordless(loaded: Mapping[str, Loaded]) -> Iterator[str]:
    """A line for each role that has such turns before its answers; rows by number, no text of theirs."""
    for role, rows in loaded.items():
        counts = {
            example.id: sum(turn.role == "assistant" and not turn.content for turn in turns_of(example.prompt))
            for example in rows.examples
        }
        found = [id for id, count in counts.items() if count]
        if found:
            yield (
                f"data.{role}: {sum(counts.values())} turns of the assistant in {len(found)} rows have no text (tool "
                f"calls) and are no targets, the first in '{found[0]}'"
            )
