"""The turns of a row's prompt, its system prompt, and its answer, from texts or from messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mollm_cli.core.errors import RequestError
from mollm_cli.data.column_names import KEYS
from mollm_cli.data.columns import ABSENT, heading, look, plain
from mollm_cli.data.dataset import Dataset, Field
from mollm_cli.data.dialogue import Turn, as_prompt, question_and_answer
from mollm_cli.data.fields import encodable, names, optional_text, text_of, value_of
from mollm_cli.data.message_turns import UnreadKeyError, read_history, read_turns, with_reasoning
from mollm_cli.data.source_row import SourceRow
from mollm_cli.data.training_columns import unread

NO_INPUT = ("<noinput>", "<no input>")
"""The words by which self-instruct sets say that there is no input."""


def asked(row: SourceRow, dataset: Dataset, key: str) -> tuple[Turn, ...]:
    """The turns of the prompt: earlier ones, then the user's with its input. Raises RequestError.

    None of them where there is no prompt and the answer is a whole conversation, which has its own.
    """
    replaced = dataset.answers or dataset.answers_from == "model"
    if not replaced and _first(dataset.prompt_field, row) is None and _are_messages(_first(dataset.answer_field, row)):
        return ()
    column, found = value_of("prompt_field", row, dataset, key)
    if _are_messages(found):
        turns = turns_in(found, column, row, dataset, key)
    else:
        turns = (Turn("user", text_of("prompt_field", row, dataset, key)),)
    if more := _input(column, row, dataset):
        turns = (*turns[:-1], turns[-1]._replace(content=f"{turns[-1].content}\n{more}"))
    return (*_history(row, dataset), *turns)


def answered(before: tuple[Turn, ...], row: SourceRow, dataset: Dataset, key: str) -> tuple[tuple[Turn, ...], str]:
    """(the turns up to the answer, the answer): a text, or messages that may begin with ``before`` again."""
    column, found = value_of("answer_field", row, dataset, key)
    if not _are_messages(found):
        return before, with_reasoning(
            text_of("answer_field", row, dataset, key), _thought(row, dataset), dataset.reasoning
        )
    said = turns_in(found, column, row, dataset, key)
    try:
        return question_and_answer(said if said[: len(before)] == before else (*before, *said))
    except ValueError as problem:
        raise misshapen(row, dataset, column, problem) from problem


def turns_in(messages: Any, column: str, row: SourceRow, dataset: Dataset, key: str) -> tuple[Turn, ...]:
    """The turns in the messages of a column. Raises RequestError where they are none, or a key of one stays unread."""
    try:
        turns = read_turns(messages, dataset.reasoning, dataset.unread)
    except UnreadKeyError as found:
        raise unread(row, dataset, key, f"{found.name} in message {found.place} of '{column}'", found.name) from found
    except ValueError as problem:
        raise misshapen(row, dataset, column, problem) from problem
    for turn in turns:
        encodable(turn.content + turn.more, f"Dataset '{dataset.name}': {row.where}, '{column}',")
    return turns


def with_system(turns: tuple[Turn, ...], row: SourceRow, dataset: Dataset) -> str:
    """``turns`` as a prompt: with the row's own system prompt, else with that of the description.

    Raises RequestError where a row has one beside its messages and another among them.
    """
    own = (optional_text(dataset.system_field, row, dataset) or "").strip()
    if own and any(turn.role == "system" and turn.content.strip() != own for turn in turns):
        problem = ValueError("the system prompt of its messages, found another one")
        raise misshapen(row, dataset, names(dataset.system_field)[0], problem)
    return as_prompt(turns, own or dataset.system)


def misshapen(row: SourceRow, dataset: Dataset, column: str, problem: ValueError) -> RequestError:
    """The refusal of a row with something of another shape in ``column``."""
    return RequestError(
        f"Dataset '{dataset.name}': {row.where} must hold in '{column}' {problem}. Repair or remove the row"
    )


def _first(field: Field, row: SourceRow) -> Any:
    return next((look(row.values, name) for name in names(field) if heading(row.values, name) is not None), None)


def _are_messages(found: Any) -> bool:
    return isinstance(found, list | tuple) and bool(found) and isinstance(found[0], Mapping)


def _input(prompt: str, row: SourceRow, dataset: Dataset) -> str:
    """The text that goes on the prompt of the column ``prompt``, which is not its own input."""
    own = heading(row.values, prompt)
    others = [name for name in names(dataset.input_field) if heading(row.values, name) != own]
    found = (optional_text(others, row, dataset) or "").strip()
    return "" if found.casefold() in NO_INPUT else found


def _history(row: SourceRow, dataset: Dataset) -> tuple[Turn, ...]:
    for name in names(dataset.history_field):
        if (value := look(row.values, name)) is not ABSENT:
            try:
                return read_history(value)
            except ValueError as problem:
                raise misshapen(row, dataset, name, problem) from problem
    return ()


def _thought(row: SourceRow, dataset: Dataset) -> Any:
    """The value of the first column of reasoning that is not left out."""
    left = set(map(plain, dataset.unread))
    found = (
        value for name, value in row.values.items() if KEYS.get(plain(name)) == "reasoning" and plain(name) not in left
    )
    return next(found, None)
