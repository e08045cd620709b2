"""The columns of a row that a description names, and what to say where one is missing."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mollm_cli.core.discretion import in_clear
from mollm_cli.core.errors import RequestError
from mollm_cli.data.column_names import KEYS, file_of_another_kind
from mollm_cli.data.columns import ABSENT, look, plain
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
        raise RequestError(f"{missing(dataset, row, ' or '.join(names(field)))}. {_remedy(option, row, dataset, key)}")
    return column, look(row.values, column)


def text_of(option: str, row: SourceRow, dataset: Dataset, key: str) -> str:
    """The text that the field ``option`` reads. Raises RequestError where it is missing, empty or no text."""
    column, found = value_of(option, row, dataset, key)
    if isinstance(found, list | tuple) and len(found) == 1:
        [found] = found
    if isinstance(found, list | tuple | Mapping) and _whole_column(found, column, row):
        raise RequestError(
            f"Dataset '{dataset.name}': {row.where} must hold one text in '{column}', found {len(found)} values there "
            "and in another column: the file is one of columns. Write an object per row (pandas: orient='records')"
        )
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


def _whole_column(found: Any, column: str, row: SourceRow) -> bool:
    """True if ``found`` is no value of a row but the column of a table, and so is another one."""
    others = [value for name, value in row.values.items() if name != column and type(value) is type(found)]
    numbered = not isinstance(found, Mapping) or all(str(name).isdigit() for name in found)
    texts = any(isinstance(value, str) for value in row.values.values())
    return numbered and not texts and len(found) > 1 and any(len(value) == len(found) for value in others)


def _remedy(option: str, row: SourceRow, dataset: Dataset, key: str) -> str:
    """The key that reads what is there in place of the missing columns of ``option``."""
    if another := file_of_another_kind(row.values, dataset.kind):
        return f"Set dataset@{key}={another}"
    lists = [name for name, value in row.values.items() if _holds_rows(value) and (in_clear() or is_known(name))]
    talks = [name for name in lists if KEYS.get(plain(name)) == "answer_field"]
    if option == "prompt_field" and talks:  # a conversation, which has its own prompt
        return f"Set {key}.answer_field={talks[0]}"
    lists = [name for name in lists if not any({"role", "from"} & each.keys() for each in row.values[name])]
    if lists:
        return f"Write what '{lists[0]}' holds as rows of their own (jq -c '.{lists[0]}[]' FILE)"
    return f"Set {key}.{option}={_inside(option, row, dataset) or _likely(option, row, dataset)}"


def _holds_rows(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _inside(option: str, row: SourceRow, dataset: Dataset) -> str | None:
    """The place of a column that ``option`` reads by itself, in an object that is the value of another."""
    for name, value in row.values.items():
        if isinstance(value, Mapping) and (in_clear() or is_known(name)):
            for wanted in names(getattr(dataset, option)):
                if wanted in value:
                    return f"{name}.{wanted}"
    return None


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
