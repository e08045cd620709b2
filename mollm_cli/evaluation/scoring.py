"""One set of examples as a model sees it: everything the metrics read, from one teacher-forced pass and one of greedy
generation.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from mollm_cli.core.types import Encoded, Example, Scored
from mollm_cli.evaluation.generation import generate
from mollm_cli.evaluation.teacher_forcing import TokenScores, teacher_forced

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from mollm_cli.data.encoding import Encoder


def score(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    encoder: Encoder,
    examples: Sequence[Example],
    needs: Set[str],
    *,
    generate_tokens: int,
    batch_size: int,
) -> list[Scored]:
    """One record an example, in order. ``needs``, out of "perturbed" and "generation": what is done beside the answers.

    Raises what encoding, teacher_forced and generate raise.
    """
    answers = [encoder.encode(example) for example in examples]
    others = [_other_answers(encoder, example) if "perturbed" in needs else [] for example in examples]
    everything = answers + [encoded for row in others for encoded in row]
    scores = teacher_forced(model, everything, encoder.pad_id, batch_size, model.device)
    generations: list[str] | list[None] = [None] * len(examples)
    if "generation" in needs:
        prompts = [encoder.prompt_ids(example) for example in examples]
        generations = generate(model, prompts, tokenizer, generate_tokens, batch_size, encoder.end_id)
    means = iter(s.mean for s in scores[len(answers) :])
    return [
        _record(example, answer, [next(means) for _ in row], generation)
        for example, answer, row, generation in zip(examples, scores[: len(answers)], others, generations, strict=True)
    ]


def _record(example: Example, answer: TokenScores, others: Sequence[float], generation: str | None) -> Scored:
    """``others``: mean token log p of what ``_other_answers`` named, in its order."""
    paraphrased = bool(others) and example.paraphrased_answer is not None
    return Scored(
        id=example.id,
        example=example,
        log_probs=answer.log_probs,
        correct=answer.correct,
        paraphrase_log_prob=others[0] if paraphrased else None,
        perturbed_log_probs=tuple(others[paraphrased:]),
        generation=generation,
    )


def _other_answers(encoder: Encoder, example: Example) -> list[Encoded]:
    """The paraphrased answer, where there is one, and the perturbed ones; to the original question, as TOFU has it."""
    if not example.perturbed_answers:
        return []
    paraphrase = () if example.paraphrased_answer is None else (example.paraphrased_answer,)
    return [encoder.encode_answer(example, answer) for answer in (*paraphrase, *example.perturbed_answers)]
