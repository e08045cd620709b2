"""The rows of a dataset's source, and the examples among them that pass its filter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from mollm_cli.assets.locate import PREFIX
from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.data.columns import ABSENT, look
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.fields import variants
from mollm_cli.data.files import read_files, read_lines
from mollm_cli.data.filters import keeps
from mollm_cli.data.headers import found_in
from mollm_cli.data.hub_datasets import read_hub
from mollm_cli.data.shapes import to_example
from mollm_cli.data.source_row import Source, SourceRow


def open_source(dataset: Dataset, key: str, option: str = "path") -> Source:
    """The source that counts: path over embedded over hub. ``option`` is the key that ``path`` was given under."""
    if dataset.path:
        return read_files(dataset.path, f"{key}.{option}", dataset.windows, dataset.encoding)
    if dataset.embedded:
        return read_files(PREFIX + dataset.embedded, f"{key}.embedded")
    if dataset.hub:
        return read_hub(dataset, key)
    raise RequestError(f"dataset '{dataset.name}' must have a source, found none. Set {key}.path=FILE")


def check_count(dataset: Dataset, source: Source, key: str) -> None:
    """Refuse a source that is not the one described. A slice of a split has a size of its own."""
    whole_split = dataset.path or "[" not in (dataset.split or "")
    if dataset.expected_rows is None or dataset.replaced or not whole_split:
        return
    if source.total != dataset.expected_rows:
        raise RequestError(
            f"dataset '{dataset.name}' must have {dataset.expected_rows} rows, found {source.total} in {source.label}. "
            f"Fetch it again, or set {key}.expected_rows=null to accept it"
        )


def read_examples(dataset: Dataset, source: Source, key: str) -> list[Example]:
    """The first ``limit`` rows that pass the filter, as examples. Raises RequestError where none does."""
    removed: Counter[str] = Counter()
    answers = other_answers(dataset, key)
    found = (to_example(id, row, dataset, key, answers) for id, row in _kept(source.rows, dataset, key, removed))
    examples = list(islice(found, dataset.limit))
    if not examples:
        counts = [(name, removed[name]) for name in dataset.filter]
        by = ", ".join(f"{name} {dataset.filter[name]!r} removed {count}" for name, count in counts if count)
        raise RequestError(
            f"dataset '{dataset.name}' must give at least one example for {key}, found none: {source.total} rows read "
            f"from {source.label}" + (f"; filter {by}. Change {key}.filter" if by else f". Set {key}.path=FILE")
        )
    return examples


def to_sample(dataset: Dataset, key: str) -> list[Example]:
    """Examples for the starting model to write: no answer yet, and the opening of each text as its prompt."""
    openings = _texts(dataset.openings, f"{key}.openings", "an opening", dataset.encoding) or [""]
    count = dataset.from_model or 0
    return [Example(f"{dataset.name}:{n}", openings[(n - 1) % len(openings)], "") for n in range(1, count + 1)]


def other_answers(dataset: Dataset, key: str) -> list[str]:
    """The texts of ``dataset.answers``: the list itself, or the lines of a file. Raises RequestError where none is."""
    return _texts(dataset.answers, f"{key}.answers", "an answer", dataset.encoding)


def _texts(given: str | list[str], key: str, what: str, encoding: str | None) -> list[str]:
    if not isinstance(given, str):
        return list(given)
    lines = read_lines(given, key, encoding)
    if not lines:
        raise RequestError(f"{key}={given} must hold {what} a line, found none. Write some")
    return lines


def _kept(
    rows: Iterable[SourceRow], dataset: Dataset, key: str, removed: Counter[str]
) -> Iterator[tuple[str, SourceRow]]:
    """Rows in all their variants that pass every filter; ``removed`` counts the others under the field that did it."""
    for source_row in rows:
        for id, row in variants(source_row, dataset, key):
            failed = first_failed(row, dataset, key)
            if failed is None:
                yield id, row
            else:
                removed[failed] += 1


def first_failed(row: SourceRow, dataset: Dataset, key: str) -> str | None:
    """The field whose filter ``row`` does not pass; None where it passes all. Raises RequestError: no such field."""
    for name, rule in dataset.filter.items():
        value = look(row.values, name)
        if value is ABSENT:
            raise RequestError(
                f"Dataset '{dataset.name}': {row.where} has no field '{name}', which {key}.filter reads; found: "
                f"{found_in(row.values, row.source, dataset)}. Drop it with '~{key}.filter.{name}', or filter on "
                "another field"
            )
        try:
            if not keeps(rule, value):
                return name
        except ValueError as problem:
            raise RequestError(f"Dataset '{dataset.name}': {row.where}, {key}.filter.{name}: {problem}") from problem
    return None
