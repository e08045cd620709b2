"""Scoring one set: everything that metrics read, from one teacher-forced pass and one of generation."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from mollm_cli.core.doing import counted_as
from mollm_cli.core.types import ROLES, Encoded, Example, Scored
from mollm_cli.data.apart import apart, as_items, from_items
from mollm_cli.data.windows import overlapping_windows
from mollm_cli.evaluation.clock import Clock
from mollm_cli.evaluation.generation import generate
from mollm_cli.evaluation.gradient_norms import gradient_norms
from mollm_cli.evaluation.metric_plan import GENERATED
from mollm_cli.evaluation.teacher_forcing import TokenScores, joined, teacher_forced
from mollm_cli.evaluation.work_sharing import ONE_PROCESS, WorkSharing

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from mollm_cli.data.encoder import Encoder
    from mollm_cli.data.load_dataset import Loaded
    from mollm_cli.evaluation.suite import Suite

SEED = 0
"""The seed of drawn continuations."""


def score(
    model: PreTrainedModel,
    encoder: Encoder,
    name: str,
    loaded: Loaded,
    suite: Suite,
    needs: Set[str],
    clock: Clock,
    samples: int = 0,
    sharing: WorkSharing = ONE_PROCESS,
) -> list[Scored]:
    """One record for each of the set's first ``suite.limit`` examples, in order.

    A long text whose dataset has ``windows`` is scored in overlapping windows (its gradient norm is that of the first
    one); any other row is scored up to ``max_tokens``. Raises whatever encoding, ``teacher_forced`` and ``generate``
    raise.

    name: of the set, for messages.
    needs: words of metrics/__init__.py.
    samples: continuations drawn per prompt, if they are needed.
    """
    examples = loaded.examples[: suite.limit]
    answers = [_answers(example, "perturbed" in needs) for example in examples]
    encoded = _encoded(encoder, name, loaded, answers)
    flat = [window for rows in encoded for windows in rows for window in windows]
    with clock.measured("teacher_forcing"), counted_as(len(examples), len(flat)):
        moments = "moments" in needs
        scores = iter(teacher_forced(model, flat, encoder.pad_id, suite.batch_size, model.device, moments, sharing))
    norms: Sequence[float | None] = [None] * len(examples)
    if "gradient_norm" in needs:
        with clock.measured("gradient_norm"):
            norms = gradient_norms(model, [rows[0][0] for rows in encoded], encoder.pad_id, model.device)
    greedy, drawn = _generations(model, encoder, loaded, examples, suite, needs, clock, samples, sharing)
    return [
        _record(example, [joined([next(scores) for _ in windows]) for windows in rows], text, norm, samples_of)
        for example, rows, text, norm, samples_of in zip(examples, encoded, greedy, norms, drawn, strict=True)
    ]


def _encoded(
    encoder: Encoder, name: str, loaded: Loaded, answers: Sequence[tuple[str, ...]]
) -> list[list[list[Encoded]]]:
    """Per example, the windows (usually one) of each of its answers; the true answer comes first."""
    dataset, role = loaded.dataset, name if name in ROLES else f"sets.{name}"

    def windows(example: Example, answer: str) -> list[Encoded]:
        if dataset.windows and not example.prompt:
            return overlapping_windows(encoder, answer, dataset.max_tokens, example.id, role)
        return [encoder.encode_answer(example.prompt, answer, dataset.template, dataset.max_tokens, example.id, role)]

    both = list(zip(loaded.examples, answers, strict=False))
    texts = [f"{example.prompt}{answer}" for example, row in both for answer in row]
    found = iter(
        apart(
            encoder.tokenizer,
            f"data.{role}",
            texts,
            lambda: ([*as_items(windows(example, answer))] for example, row in both for answer in row),
        )
    )
    return [[from_items(next(found)) for _ in row] for _, row in both]


def _generations(
    model: PreTrainedModel,
    encoder: Encoder,
    loaded: Loaded,
    examples: Sequence[Example],
    suite: Suite,
    needs: Set[str],
    clock: Clock,
    samples: int,
    sharing: WorkSharing,
) -> tuple[Sequence[str | None], Sequence[tuple[str, ...]]]:
    """The greedy continuations (None if not needed) and the drawn ones (empty if not needed)."""
    greedy: Sequence[str | None] = [None] * len(examples)
    drawn: Sequence[tuple[str, ...]] = [()] * len(examples)
    draws = "samples" in needs and samples > 0
    if not (needs & GENERATED or draws):
        return greedy, drawn
    template = loaded.dataset.template
    asked, hoped = [example.prompt for example in examples], [example.answer for example in examples]
    prompts, end_ids = encoder.asking(asked, template, f"dataset '{loaded.dataset.name}'", hoped)
    most, size = suite.generate_tokens, suite.batch_size
    if needs & GENERATED:
        with clock.measured("generation"), counted_as(len(examples), len(prompts)):
            greedy = generate(model, prompts, encoder.tokenizer, most, size, end_ids, sharing=sharing)
    if draws:
        with clock.measured("samples"):
            repeated = [prompt for prompt in prompts for _ in range(samples)]
            with counted_as(len(examples), len(repeated)):
                texts = generate(model, repeated, encoder.tokenizer, most, size, end_ids, SEED)
            drawn = [tuple(texts[i : i + samples]) for i in range(0, len(texts), samples)]
    return greedy, drawn


def _answers(example: Example, perturbed: bool) -> tuple[str, ...]:
    """The answer, then, if ``perturbed`` and the row has any, the paraphrased answer and the perturbed ones.

    All are answers to the original question, as in TOFU.
    """
    if not (perturbed and example.perturbed_answers):
        return (example.answer,)
    paraphrase = () if example.paraphrased_answer is None else (example.paraphrased_answer,)
    return (example.answer, *paraphrase, *example.perturbed_answers)


def _record(
    example: Example,
    scores: Sequence[TokenScores],
    generation: str | None,
    gradient_norm: float | None,
    samples: tuple[str, ...],
) -> Scored:
    """The record of one example. scores: of the answers that ``_answers`` gives, in its order."""
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
        token_means=answer.means,
        token_deviations=answer.deviations,
        gradient_norm=gradient_norm,
        samples=samples,
    )
