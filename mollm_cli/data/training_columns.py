"""Columns that training sets have, the key that reads each, and the refusal of a row in which one stays unread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.data.column_names import FILES, KEYS
from mollm_cli.data.columns import heading, plain
from mollm_cli.data.dataset import NEEDED, Dataset, Kind
from mollm_cli.data.dialogue import turns_of
from mollm_cli.data.headers import found_in
from mollm_cli.data.identity import normalised
from mollm_cli.data.source_row import SourceRow

MEASURED = ("paraphrased_question_field", "paraphrased_answer_field", "perturbed_field")
"""Fields that only metrics read."""
READ: Mapping[Kind, tuple[str, ...]] = {
    "qa": (*NEEDED["qa"], "input_field", "system_field", "history_field", *MEASURED),
    "text": NEEDED["text"],
    "chat": (*NEEDED["chat"], "system_field"),
    "choice": (*NEEDED["choice"], "input_field", "system_field"),
}
"""The fields that are read of each kind."""
SPEAKERS = ("role", "from", "type")
"""Keys of messages and parts that hold no text."""


def refuse_unread(row: SourceRow, dataset: Dataset, key: str, example: Example) -> None:
    """Raise RequestError where ``row`` has a known column that says something and that made nothing of ``example``.

    What stands in the example already is no loss (a whole text beside its parts), nor is what is empty.
    """
    said = (example.prompt, example.answer)
    unsaid = (name for name, value in row.values.items() if not (isinstance(value, str) and value in said))
    suspects = [name for name in unsaid if plain(name) in KEYS]
    if not suspects:
        return
    read = set(_read(row, dataset))
    for name in suspects:
        if name not in read and not _allowed(plain(name), dataset) and _adds(row.values[name], example):
            raise unread(row, dataset, key, f"the column '{plain(name)}'", plain(name))


def unread(row: SourceRow, dataset: Dataset, key: str, what: str, name: str) -> RequestError:
    """The refusal of ``what``, whose plain name is ``name``: it carries meaning, and no key reads it."""
    return RequestError(
        f"Dataset '{dataset.name}': {row.where} must have no unread column of training sets, found {what}, which no "
        f"key reads, among: {found_in(row.values, row.source, dataset)}. {_remedy(name, dataset, key)}"
        f"{key}.unread=[{','.join([*dataset.unread, name])}] to leave it out"
    )


def _remedy(name: str, dataset: Dataset, key: str) -> str:
    option = KEYS.get(name, "")
    if option == "filter":
        return f"Set +{key}.filter.{name}=VALUE to read rows of one value, or "
    if option == "reasoning":
        return f"Set '{key}.reasoning=\"{{reasoning}}\\n\"' to write it before the answer, or "
    if option in READ[dataset.kind]:
        return f"Set {key}.{option}={name}, or "
    if option in FILES:
        return f"Set dataset@{key}={FILES[option]}, or "
    return "Set "


def _read(row: SourceRow, dataset: Dataset) -> Iterator[str]:
    """The columns that the description reads of ``row``, as the row calls them."""
    variants = [actual.removesuffix("?") for variant in dataset.variants for actual in variant.values()]
    for path in (*_taken(row, dataset), *variants, *dataset.filter):
        if (name := heading(row.values, path)) is not None:
            yield name


def _taken(row: SourceRow, dataset: Dataset) -> Iterator[str]:
    """Of the names of each field that is read the first that the row has."""
    for option in READ[dataset.kind]:
        field = getattr(dataset, option)
        names = [field] if isinstance(field, str) else field or ()
        yield from [name for name in names if heading(row.values, name) is not None][:1]


def _allowed(name: str, dataset: Dataset) -> bool:
    """True of a column that is left unread on purpose, or is read by another key than a field."""
    replaced = bool(dataset.answers) or dataset.answers_from == "model"
    if KEYS[name] == "answer_field" and replaced:
        return True
    if KEYS[name] == "reasoning" and dataset.reasoning is not None:
        return dataset.kind != "text"
    return name in map(plain, dataset.unread)


def _adds(value: Any, example: Example) -> bool:
    """True if something stands in ``value`` that does not stand in ``example``, unless it is all of it again."""
    texts = [normalised(text) for text in _texts(value)]
    parts = [turn.content for turn in turns_of(example.prompt)] + [example.answer, *example.perturbed_answers]
    parts += [text for text in (example.paraphrased_question, example.paraphrased_answer) if text]
    lines = [normalised(line) for part in parts for line in part.split("\n")]
    said, whole = normalised("\n".join(parts)), " ".join(texts)
    return any(text not in said for text in texts) and not all(line in whole for line in lines)


def _texts(value: Any) -> list[str]:
    """All that is said in a value, however deep: texts that are not empty, numbers and flags."""
    left: list[Any] = [value]
    found: list[str] = []
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            left += [value[key] for key in reversed(list(value)) if key not in SPEAKERS]
        elif isinstance(value, list | tuple):
            left += reversed(value)
        elif value is not None and str(value).strip() not in ("", "[]", "{}", "null"):
            found.append(str(value))
    return found
