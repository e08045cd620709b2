"""One set of examples as a model sees it: all that metrics read, from one teacher-forced pass and one of generation."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from mollm_cli.core.types import ROLES, Example, Scored
from mollm_cli.evaluation.generation import generate
from mollm_cli.evaluation.teacher_forcing import TokenScores, teacher_forced

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from mollm_cli.data.encoding import Encoder
    from mollm_cli.data.load import Loaded
    from mollm_cli.evaluation.suite import Suite


def score(
    model: PreTrainedModel, encoder: Encoder, name: str, loaded: Loaded, suite: Suite, needs: Set[str]
) -> list[Scored]:
    """One record for each of the set's first ``suite.limit`` examples, in order.

    name: of the set, for messages. needs: "perturbed" scores the other answers too, "generation" lets the model answer.
    Raises what encoding, ``teacher_forced`` and ``generate`` raise.
    """
    dataset, examples = loaded.dataset, loaded.examples[: suite.limit]
    answers = [_answers(example, "perturbed" in needs) for example in examples]
    role = name if name in ROLES else f"sets.{name}"
    encoded = [
        encoder.encode_answer(example.prompt, answer, dataset.template, dataset.max_tokens, example.id, role)
        for example, row in zip(examples, answers, strict=True)
        for answer in row
    ]
    scores = iter(teacher_forced(model, encoded, encoder.pad_id, suite.batch_size, model.device))
    generations: Sequence[str | None] = [None] * len(examples)
    if "generation" in needs:
        prompts = [encoder.prompt_ids(example.prompt, dataset.template) for example in examples]
        end_ids = encoder.end_ids(dataset.template)
        generations = generate(model, prompts, encoder.tokenizer, suite.generate_tokens, suite.batch_size, end_ids)
    return [
        _record(example, [next(scores) for _ in row], generation)
        for example, row, generation in zip(examples, answers, generations, strict=True)
    ]


def _answers(example: Example, perturbed: bool) -> tuple[str, ...]:
    """The answer; if asked for and there are any, then the paraphrased one, where there is one, and the perturbed ones.

    All are answers to the original question, as in TOFU.
    """
    if not (perturbed and example.perturbed_answers):
        return (example.answer,)
    paraphrase = () if example.paraphrased_answer is None else (example.paraphrased_answer,)
    return (example.answer, *paraphrase, *example.perturbed_answers)


def _record(example: Example, scores: Sequence[TokenScores], generation: str | None) -> Scored:
    """``scores``: of what ``_answers`` named, in its order."""
    answer, *others = scores
    paraphrased = bool(others) and example.paraphrased_answer is not None
    return Scored(
        id=example.id,
        example=example,
        log_probs=answer.log_probs,
        correct=answer.correct,
        paraphrase_log_prob=others[0].mean if paraphrased else None,
        perturbed_log_probs=tuple(other.mean for other in others[paraphrased:]),
        generation=generation,
    )
