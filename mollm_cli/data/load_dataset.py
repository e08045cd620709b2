"""A dataset's description -> its examples and the fingerprint that tells whether they were the same ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from mollm_cli.core.shared import shared
from mollm_cli.core.types import Content, Example, Role
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.dialogue import turns_of
from mollm_cli.data.perturbed import join_perturbed
from mollm_cli.data.reading import check_count, open_source, read_examples, to_sample


@dataclass(frozen=True, slots=True)
class Loaded:
    """The examples of one role, the description they came from, and their fingerprint for the manifest.

    fingerprint: name, files (path without its folder, bytes, sha256), hub (where it came from there), rows, and sha256
    over the examples themselves. cache: whether their token ids may be kept between runs.
    """

    dataset: Dataset
    examples: list[Example]
    fingerprint: dict[str, Any]
    cache: bool = False

    @property
    def content(self) -> Content:
        """The kind of text that the rows hold."""
        return self.dataset.content

    @property
    def texts(self) -> list[str]:
        """Prompt and answer of each row."""
        return [f"{example.prompt}{example.answer}" for example in self.examples]

    def keep(self, examples: Iterable[Example], **notes: Any) -> Loaded:
        """The same source with these examples only; ``notes`` go into the fingerprint."""
        kept = list(examples)
        changed = self.fingerprint | {"rows": len(kept), "sha256": digest(kept)} | notes
        return Loaded(self.dataset, kept, changed, self.cache)


def load(dataset: Dataset, role: Role, cache: bool = False) -> Loaded:
    """Read ``dataset`` for ``role`` (for a named set: ``sets.NAME``). Raises RequestError, naming ``data.<role>.*``."""
    return shared((load, repr(dataset), role, cache), lambda: _load(dataset, role, cache))


def _load(dataset: Dataset, role: Role, cache: bool) -> Loaded:
    key = f"data.{role}"
    if dataset.sampled:
        examples = to_sample(dataset, key)
        return Loaded(dataset, examples, {"name": dataset.name, "files": [], "rows": len(examples)}, cache)
    source = open_source(dataset, key)
    check_count(dataset, source, key)
    examples = join_perturbed(read_examples(dataset, source, key), dataset, key)
    fingerprint = {"name": dataset.name, **source.record, "rows": len(examples), "sha256": digest(examples)}
    return Loaded(dataset, examples, fingerprint, cache)


def digest(examples: Iterable[Example]) -> str:
    """sha256 over the texts of ``examples``, in order; ids are left out, so that a renamed dataset stays the same."""
    state = hashlib.sha256()
    for example in examples:
        state.update(json.dumps(_texts(example)).encode() + b"\n")
    return state.hexdigest()


def _texts(example: Example) -> list[Any]:
    texts = [getattr(example, field.name) for field in fields(example)[1:]]
    targets = [turn.target for turn in turns_of(example.prompt)]
    return texts if all(targets) else [*texts, targets]
