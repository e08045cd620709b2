"""A row as an Example, by the kind of its dataset: question and answer, text, chat, multiple choice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from mollm_cli.core.types import Example
from mollm_cli.data.asked_rows import answered, asked, misshapen, turns_in, with_system
from mollm_cli.data.choice import listed, read_choices, right_choice
from mollm_cli.data.dataset import Dataset, Kind
from mollm_cli.data.dialogue import Turn, question_and_answer
from mollm_cli.data.fields import encodable, optional_text, optional_texts, text_of, value_of
from mollm_cli.data.source_row import SourceRow
from mollm_cli.data.training_columns import refuse_unread

Shape = Callable[[str, SourceRow, Dataset, str], Example]


def to_example(id: str, row: SourceRow, dataset: Dataset, key: str, answers: Sequence[str] = ()) -> Example:
    """The example in ``row``; ``answers``: those that stand in for its own, one of them by its prompt's hash.

    Where answers come from the model, it is still empty. Raises RequestError where a needed column is missing, empty or
    of another shape.
    """
    if dataset.answers_from == "model":
        example = Example(id, with_system(asked(row, dataset, key), row, dataset), "")
    elif answers:
        prompt = with_system(asked(row, dataset, key), row, dataset)
        example = Example(id, prompt, drawn(prompt, answers))
    else:
        example = SHAPES[dataset.kind](id, row, dataset, key)
    refuse_unread(row, dataset, key, example)
    return example


def drawn(prompt: str, answers: Sequence[str]) -> str:
    """One of ``answers``: the same one for the same prompt, whatever rows stand beside it."""
    return answers[int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:8]) % len(answers)]


def _qa(id: str, row: SourceRow, dataset: Dataset, key: str) -> Example:
    before, answer = answered(asked(row, dataset, key), row, dataset, key)
    return Example(
        id,
        with_system(before, row, dataset),
        answer,
        optional_text(dataset.paraphrased_question_field, row, dataset),
        optional_text(dataset.paraphrased_answer_field, row, dataset),
        optional_texts(dataset.perturbed_field, row, dataset),
    )


def _plain(id: str, row: SourceRow, dataset: Dataset, key: str) -> Example:
    return Example(id, "", text_of("text_field", row, dataset, key))


def _chat(id: str, row: SourceRow, dataset: Dataset, key: str) -> Example:
    column, messages = value_of("messages_field", row, dataset, key)
    turns = turns_in(messages, column, row, dataset, key)
    try:
        before, answer = question_and_answer(turns)
    except ValueError as problem:
        raise misshapen(row, dataset, column, problem) from problem
    return Example(id, with_system(before, row, dataset), answer)


def _choice(id: str, row: SourceRow, dataset: Dataset, key: str) -> Example:
    question = asked(row, dataset, key)[-1].content
    column, found = value_of("choices_field", row, dataset, key)
    try:
        choices = read_choices(found)
        column, answer = value_of("answer_field", row, dataset, key)
        right = right_choice(choices, answer)
    except ValueError as problem:
        raise misshapen(row, dataset, column, problem) from problem
    for text in choices:
        encodable(text, f"Dataset '{dataset.name}': {row.where}, {dataset.choices_field},")
    others = tuple(text for place, text in enumerate(choices) if place != right)
    turns = (Turn("user", listed(question, choices)),)
    return Example(id, with_system(turns, row, dataset), choices[right], perturbed_answers=others)


SHAPES: dict[Kind, Shape] = {"qa": _qa, "text": _plain, "chat": _chat, "choice": _choice}
