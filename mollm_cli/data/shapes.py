"""A row as an Example, by the kind of its dataset: question and answer, text, chat, multiple choice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.data.choice import listed, read_choices, right_choice
from mollm_cli.data.dataset import Dataset, Kind
from mollm_cli.data.dialogue import Turn, as_prompt, question_and_answer, read_turns
from mollm_cli.data.fields import encodable, optional_text, optional_texts, text_of, value_of
from mollm_cli.data.source_row import SourceRow

Shape = Callable[[str, SourceRow, Dataset, str], Example]


def to_example(id: str, row: SourceRow, dataset: Dataset, key: str, answers: Sequence[str] = ()) -> Example:
    """The example in ``row``; ``answers``: those that stand in for its own, one of them by its prompt's hash.

    Where answers come from the model, it is still empty. Raises RequestError where a needed column is missing, empty or
    of another shape.
    """
    if dataset.answers_from == "model":
        return Example(id, _asked(text_of("prompt_field", row, dataset, key), dataset), "")
    if answers:
        prompt = _asked(text_of("prompt_field", row, dataset, key), dataset)
        return Example(id, prompt, drawn(prompt, answers))
    return SHAPES[dataset.kind](id, row, dataset, key)


def drawn(prompt: str, answers: Sequence[str]) -> str:
    """One of ``answers``: the same one for the same prompt, whatever rows stand beside it."""
    return answers[int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:8]) % len(answers)]


def _qa(id: str, row: SourceRow, dataset: Dataset, key: str) -> Example:
    return Example(
        id,
        _asked(text_of("prompt_field", row, dataset, key), dataset),
        text_of("answer_field", row, dataset, key),
        optional_text(dataset.paraphrased_question_field, row, dataset),
        optional_text(dataset.paraphrased_answer_field, row, dataset),
        optional_texts(dataset.perturbed_field, row, dataset),
    )


def _plain(id: str, row: SourceRow, dataset: Dataset, key: str) -> Example:
    return Example(id, "", text_of("text_field", row, dataset, key))


def _chat(id: str, row: SourceRow, dataset: Dataset, key: str) -> Example:
    column, messages = value_of("messages_field", row, dataset, key)
    try:
        before, answer = question_and_answer(read_turns(messages))
    except ValueError as problem:
        raise _misshapen(row, dataset, column, problem) from problem
    where = f"Dataset '{dataset.name}': {row.where}, '{column}',"
    for turn in before:
        encodable(turn.content, where)
    return Example(id, as_prompt(before, dataset.system), encodable(answer, where))


def _choice(id: str, row: SourceRow, dataset: Dataset, key: str) -> Example:
    question = text_of("prompt_field", row, dataset, key)
    column, found = value_of("choices_field", row, dataset, key)
    try:
        choices = read_choices(found)
        column, answer = value_of("answer_field", row, dataset, key)
        right = right_choice(choices, answer)
    except ValueError as problem:
        raise _misshapen(row, dataset, column, problem) from problem
    for text in choices:
        encodable(text, f"Dataset '{dataset.name}': {row.where}, {dataset.choices_field},")
    others = tuple(text for place, text in enumerate(choices) if place != right)
    return Example(id, _asked(listed(question, choices), dataset), choices[right], perturbed_answers=others)


def _asked(prompt: str, dataset: Dataset) -> str:
    return as_prompt((Turn("user", prompt),), dataset.system)


def _misshapen(row: SourceRow, dataset: Dataset, column: str, problem: ValueError) -> RequestError:
    return RequestError(
        f"Dataset '{dataset.name}': {row.where} must hold in '{column}' {problem}. Repair or remove the row"
    )


SHAPES: dict[Kind, Shape] = {"qa": _qa, "text": _plain, "chat": _chat, "choice": _choice}
