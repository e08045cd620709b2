"""A row of any dataset as an Example: its variants, its columns, and what to say where one is missing."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.data.dataset import Dataset, Field
from mollm_cli.data.rows import Row


def variants(row: Row, dataset: Dataset, key: str) -> Iterator[tuple[str, Row]]:
    """(id, row) once per variant, canonical names added; without variants the row itself. Raises RequestError."""
    if not dataset.variants:
        yield f"{dataset.name}:{row.number}", row
    for index, names in enumerate(dataset.variants):
        for actual in names.values():
            if actual not in row.values:
                raise RequestError(
                    f"{_missing(dataset, row, actual)}. Set {key}.variants=[] where a row holds one answer "
                    f"(and {key}.filter to fields that it has)"
                )
        renamed = row.values | {canonical: row.values[actual] for canonical, actual in names.items()}
        yield f"{dataset.name}:{row.number}.{index}", replace(row, values=renamed)


def to_example(id: str, row: Row, dataset: Dataset, key: str) -> Example:
    """The example in ``row``. Raises RequestError where a needed column is missing, empty or no text."""
    if dataset.kind == "text":
        return Example(id, "", _needed("text_field", row, dataset, key))
    return Example(
        id,
        _needed("prompt_field", row, dataset, key),
        _needed("answer_field", row, dataset, key),
        _optional(dataset.paraphrased_question_field, row, dataset),
        _optional(dataset.paraphrased_answer_field, row, dataset),
        _several(dataset.perturbed_field, row, dataset),
    )


def names(field: Field) -> list[str]:
    """The column names that ``field`` accepts, in order."""
    return [field] if isinstance(field, str) else list(field or ())


def _column(field: Field, row: Row) -> str | None:
    return next((name for name in names(field) if name in row.values), None)


def _needed(option: str, row: Row, dataset: Dataset, key: str) -> str:
    field: Field = getattr(dataset, option)
    column = _column(field, row)
    if column is None:
        raise RequestError(
            f"{_missing(dataset, row, ' or '.join(names(field)))}. Set {key}.{option}={_likely(option, row, dataset)}"
        )
    value = _text(row.values[column], column, row, dataset)
    if not value.strip():
        raise RequestError(
            f"Dataset '{dataset.name}': {row.where} must have text in '{column}', found it empty. "
            f"Remove the row, or leave it out with {key}.filter={{{column}: {{matches: '\\S'}}}}"
        )
    return value


def _optional(field: Field, row: Row, dataset: Dataset) -> str | None:
    column = _column(field, row)
    if column is None or row.values[column] is None:
        return None
    return _text(row.values[column], column, row, dataset) or None


def _several(field: Field, row: Row, dataset: Dataset) -> tuple[str, ...]:
    column = _column(field, row)
    if column is None or not row.values[column]:
        return ()
    value = row.values[column]
    return tuple(_text(v, column, row, dataset) for v in (value if isinstance(value, list | tuple) else [value]))


def _text(value: Any, column: str, row: Row, dataset: Dataset) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RequestError(
            f"Dataset '{dataset.name}': {row.where} must hold text in '{column}', found {type(value).__name__}. "
            "Write it as a string"
        )
    return value


def _missing(dataset: Dataset, row: Row, field: str) -> str:
    return f"Dataset '{dataset.name}': {row.where} has no field '{field}'; found: {', '.join(row.values) or 'none'}"


def _likely(option: str, row: Row, dataset: Dataset) -> str:
    """The column that was probably meant: one of a similar name, else the first that no other field takes."""
    for name in names(getattr(dataset, option)):
        close = difflib.get_close_matches(name, row.values, n=1)
        if close:
            return close[0]
    others = {"prompt_field", "answer_field", "text_field"} - {option}
    taken = {_column(getattr(dataset, other), row) for other in others}
    return next((name for name in row.values if name not in taken), "COLUMN")
