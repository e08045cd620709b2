"""Scores on disk, so that an interrupted evaluation goes on where it stopped: JSON Lines, written whole."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mollm_cli.core.owned_folder import opened
from mollm_cli.core.privacy import KeepText, row_hash, shows_text
from mollm_cli.core.types import Example, Scored
from mollm_cli.core.world import ALONE, World

if TYPE_CHECKING:
    from mollm_cli.data.load_dataset import Loaded

DEPTH = 4
"""The last parts of a path to scores, none of which may be a link: RUN/resume/scores/MOMENT."""
VERSION = 1
"""Raised whenever the same model, rows and settings would give other scores."""


@dataclasses.dataclass(frozen=True, slots=True)
class ScoreStore:
    """One file per set under ``folder``.

    Generations for rows whose text ``keep_text`` does not show are not kept; such a set is scored anew. Of several
    processes the first reads and writes, and sends the others what it read.

    settings: everything but the rows that scores depend on (weights, decoding).
    """

    folder: Path
    settings: Mapping[str, Any]
    sets: Mapping[str, Loaded]
    keep_text: KeepText
    world: World = ALONE

    def read(self, name: str, examples: Sequence[Example]) -> list[Scored] | None:
        """The scores of the set ``name``; None if there are none of these rows under these settings."""
        found = self._read(name, examples) if self.world.first else None
        if self.world.size == 1:
            return found
        rows = self.world.from_first(None if found is None else list(map(_row, found)))
        return None if rows is None else [_scored(example, row) for example, row in zip(examples, rows, strict=True)]

    def _read(self, name: str, examples: Sequence[Example]) -> list[Scored] | None:
        file = self._file(name)
        try:
            head, *lines = file.read_text(encoding="utf-8").splitlines()
            if json.loads(head) != self._key(examples) or len(lines) != len(examples):
                return None
            found = [_scored(example, json.loads(line)) for example, line in zip(examples, lines, strict=True)]
            return found if all(map(_whole, found)) else None
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return None

    def write(self, name: str, scored: Sequence[Scored]) -> None:
        """Keep the scores of a set, all of them or none. Raises OSError."""
        has_text = any(s.generation is not None or s.samples for s in scored)
        if not self.world.first or (has_text and not shows_text(self.sets[name].content, self.keep_text)):
            return
        lines = [self._key([s.example for s in scored]), *map(_row, scored)]
        with opened(self.folder, DEPTH, make=DEPTH - 1) as folder:
            folder.replace(self._file(name).name, "".join(json.dumps(line) + "\n" for line in lines).encode())

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"

    def _key(self, examples: Sequence[Example]) -> dict[str, Any]:
        rows = hashlib.sha256("".join(f"{e.id} {row_hash(e)}\n" for e in examples).encode()).hexdigest()
        # Through JSON and back, because tuples in settings would differ from the lists that a file holds.
        key = {"version": VERSION, "rows": rows, "settings": self.settings}
        plain: dict[str, Any] = json.loads(json.dumps(key, default=str))
        return plain


def forget_scores(folder: Path) -> None:
    """Remove the scores in ``folder``, resume/scores of a run that has come to its end."""
    with contextlib.suppress(OSError), opened(folder.parent, DEPTH - 2) as resume:
        resume.remove(folder.name)


def _row(scored: Scored) -> dict[str, Any]:
    values = {field.name: getattr(scored, field.name) for field in dataclasses.fields(scored)}
    return {key: value for key, value in values.items() if key not in ("id", "example")}


def _scored(example: Example, row: Mapping[str, Any]) -> Scored:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Scored(example.id, example, **values)


def _whole(scored: Scored) -> bool:
    """True if every value has its type; a file from someone else may hold anything."""
    numbers = (*scored.log_probs, *scored.perturbed_log_probs, *scored.token_means, *scored.token_deviations)
    maybe = (scored.paraphrase_log_prob, scored.gradient_norm, scored.fluency_log_prob)
    return (
        bool(scored.log_probs)
        and all(isinstance(number, float | int) for number in (*numbers, *scored.judged.values()))
        and all(number is None or isinstance(number, float | int) for number in maybe)
        and len(scored.log_probs) == len(scored.correct)
        and all(isinstance(text, str) for text in scored.samples)
        and (scored.generation is None or isinstance(scored.generation, str))
    )
