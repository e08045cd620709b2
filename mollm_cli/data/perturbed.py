"""Paraphrased and perturbed answers that stand in a file of their own, joined to their rows on the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example
from mollm_cli.data.dataset import HUB, Dataset
from mollm_cli.data.identity import normalised
from mollm_cli.data.reading import open_source, read_examples


def join_perturbed(examples: list[Example], dataset: Dataset, key: str) -> list[Example]:
    """``examples`` with the texts that only ``dataset.perturbed`` holds. Raises RequestError where no row gets any.

    What a row has already stays. A hub:CONFIG belongs to the source of the description and goes with it.
    """
    place = dataset.perturbed
    if not place or (place.startswith(HUB) and dataset.replaced):
        return examples
    plain = replace(dataset, perturbed=None, limit=None)
    is_config = place.startswith(HUB)
    other = replace(plain, config=place.removeprefix(HUB)) if is_config else replace(plain, path=place)
    extra = _by_prompt(read_examples(other, open_source(other, key, "perturbed"), key))
    if not any(normalised(example.prompt) in extra for example in examples):
        raise RequestError(
            f"{key}.perturbed={place} must hold the prompts of dataset '{dataset.name}', found none of its "
            f"{len(examples)} there. Name the file that belongs to it, or set {key}.perturbed=null"
        )
    return [_filled(example, extra.get(normalised(example.prompt))) for example in examples]


def _by_prompt(examples: list[Example]) -> Mapping[str, Example]:
    return {
        normalised(example.prompt): example for example in reversed(examples)
    }  # of equal prompts the first one counts


def _filled(example: Example, other: Example | None) -> Example:
    if other is None:
        return example
    return replace(
        example,
        paraphrased_question=example.paraphrased_question or other.paraphrased_question,
        paraphrased_answer=example.paraphrased_answer or other.paraphrased_answer,
        perturbed_answers=example.perturbed_answers or other.perturbed_answers,
    )
