"""The columns of a row that a description names, and what to say where one is missing."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mollm_cli.core.discretion import in_clear
from mollm_cli.core.errors import RequestError
from mollm_cli.data.column_names import file_of_another_kind
from mollm_cli.data.columns import ABSENT, look
from mollm_cli.data.dataset import NEEDED, Dataset, Field
from mollm_cli.data.headers import found_in, is_known, mentioned
from mollm_cli.data.source_row import SourceRow

MAYBE = "?"
"""A variant's column that ends so may be absent: releases differ in columns that only filters read."""


def variants(row: SourceRow, dataset: Dataset, key: str) -> Iterator[tuple[str, SourceRow]]:
    """(id, row) once per variant, canonical names added; without variants the row itself. Raises RequestError."""
    if not dataset.variants:
        yield f"{dataset.name}:{row.number}", row
    for index, names in enumerate(dataset.variants):
        found = {canonical: look(row.values, actual.removesuffix(MAYBE)) for canonical, actual in names.items()}
        for canonical, actual in names.items():
            if found[canonical] is ABSENT and not actual.endswith(MAYBE):
                raise RequestError(
                    f"{missing(dataset, row, actual)}. Set {key}.variants=[] where a row holds one answer "
                    f"(and {key}.filter to fields that it has)"
                )
        present = {canonical: value for canonical, value in found.items() if value is not ABSENT}
        yield f"{dataset.name}:{row.number}.{index}", replace(row, values=row.values | present)


def names(field: Field) -> list[str]:
    """The column names that ``field`` accepts, in order."""
    return [field] if isinstance(field, str) else list(field or ())


def value_of(option: str, row: SourceRow, dataset: Dataset, key: str) -> tuple[str, Any]:
    """(column, value) that the field ``option`` reads. Raises RequestError where the row has none of its columns."""
    field: Field = getattr(dataset, option)
    column = _column(field, row)
    if column is None:
        another = file_of_another_kind(row.values, dataset.kind)
        change = f"dataset@{key}={another}" if another else f"{key}.{option}={_likely(option, row, dataset)}"
        raise RequestError(f"{missing(dataset, row, ' or '.join(names(field)))}. Set {change}")
    return column, look(row.values, column)


def text_of(option: str, row: SourceRow, dataset: Dataset, key: str) -> str:
    """The text that the field ``option`` reads. Raises RequestError where it is missing, empty or no text."""
    column, found = value_of(option, row, dataset, key)
    if isinstance(found, list | tuple) and len(found) == 1:
        [found] = found
    if isinstance(found, list | tuple | Mapping):
        raise RequestError(
            f"Dataset '{dataset.name}': {row.where} must hold one text in '{column}', found {len(found)} values in it. "
            f"Set {key}.{option}={column}.{'0 for its first' if not isinstance(found, Mapping) else _place(found)}"
        )
    value = _text(found, column, row, dataset)
    if not value.strip():
        raise RequestError(
            f"Dataset '{dataset.name}': {row.where} must have text in '{column}', found it empty. "
            f"Remove the row, or leave it out with {key}.filter={{{column}: {{matches: '\\S'}}}}"
        )
    return value


def _place(found: Mapping[str, Any]) -> str:
    """A place inside ``found`` that may be meant: SQuAD has its answers in a list called text."""
    if "text" not in found:
        return "NAME, a place inside it"
    return "text.0" if isinstance(found["text"], list | tuple) else "text"


def optional_text(field: Field, row: SourceRow, dataset: Dataset) -> str | None:
    """The text in ``field``, None where it is absent, null or empty. Raises RequestError where it is no text."""
    column = _column(field, row)
    return (_text(look(row.values, column), column, row, dataset) or None) if column else None


def optional_texts(field: Field, row: SourceRow, dataset: Dataset) -> tuple[str, ...]:
    """The texts in ``field``: of a list, or the one. Raises RequestError where one is no text."""
    column = _column(field, row)
    value = look(row.values, column) if column else None
    if not column or not value:
        return ()
    return tuple(_text(v, column, row, dataset) for v in (value if isinstance(value, list | tuple) else [value]))


def encodable(text: str, where: str) -> str:
    """``text`` where every character is one. Raises RequestError: half a surrogate pair cannot be tokenized."""
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise RequestError(
            f"{where} must hold text, found half a character (surrogate {text[problem.start]!a}). "
            "Write the file again as UTF-8"
        ) from problem
    return text


def missing(dataset: Dataset, row: SourceRow, field: str) -> str:
    """The beginning of the message for a column that is not there."""
    found = found_in(row.values, row.source, dataset)
    return f"Dataset '{dataset.name}': {row.where} has no field '{field}'; found: {found}"


def _column(field: Field, row: SourceRow) -> str | None:
    return next((name for name in names(field) if look(row.values, name) is not ABSENT), None)


def _text(value: Any, column: str, row: SourceRow, dataset: Dataset) -> str:
    if value is None:
        return ""
    where = f"Dataset '{dataset.name}': {row.where}"
    if not isinstance(value, str):
        raise RequestError(f"{where} must hold text in '{column}', found {type(value).__name__}. Write it as a string")
    return encodable(value, f"{where}, '{column}',")


def _likely(option: str, row: SourceRow, dataset: Dataset) -> str:
    """The column that was probably meant: one of a similar name, else the first that no other field takes."""
    known = mentioned(dataset)
    there = [name for name in row.values if in_clear() or is_known(name) or name in known]
    for name in names(getattr(dataset, option)):
        close = difflib.get_close_matches(name, there, n=1)
        if close:
            return close[0]
    others = {"text_field", *NEEDED["qa"], *NEEDED[dataset.kind]} - {option}
    taken = {_column(getattr(dataset, other), row) for other in others}
    return next((name for name in there if name not in taken), "COLUMN")
