"""Scores of the generations by other models: by judges, and by the reference as a measure of fluency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mollm_cli.core.types import IGNORE, Encoded, Scored
from mollm_cli.evaluation.clock import Clock
from mollm_cli.evaluation.measuring import Scores, measured
from mollm_cli.evaluation.metric_plan import needs_by_set
from mollm_cli.evaluation.work_sharing import ONE_PROCESS, WorkSharing

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from mollm_cli.data.dataset import Dataset
    from mollm_cli.data.encoder import Encoder
    from mollm_cli.data.load_dataset import Loaded
    from mollm_cli.evaluation.suite import Suite

SPACED = "{prompt} "
"""A bare prompt and the space before its continuation, because generations are stripped of white space."""


def check_judges(suite: Suite) -> None:
    """Raise RequestError for a judge that cannot be loaded; no weights are loaded."""
    for judge in suite.judges.values():
        judge.check()


def judged(scores: Scores, sets: Mapping[str, Loaded], suite: Suite, device: torch.device, clock: Clock) -> Scores:
    """``scores`` with every judge's score of each answer that is not blank, on the sets where a metric reads it.

    Each judge reads all sets in one go. Raises whatever ``Judge.scores`` raises.
    """
    rows = _answered(scores, sets, suite, "judged")
    if not rows or not suite.judges:
        return scores
    prompts = [scored.example.prompt for scored in rows.values()]
    answers = [scored.generation or "" for scored in rows.values()]
    found: dict[str, list[float]] = {}
    for name, judge in suite.judges.items():
        with clock.measured(f"judge.{name}"):
            found[name] = judge.scores(prompts, answers, device)
    by_row = [dict(zip(found, each, strict=True)) for each in zip(*found.values(), strict=True)]
    changed = {place: replace(row, judged=each) for (place, row), each in zip(rows.items(), by_row, strict=True)}
    return _put(scores, changed)


def with_fluency(
    scores: Scores,
    sets: Mapping[str, Loaded],
    suite: Suite,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    clock: Clock,
    sharing: WorkSharing = ONE_PROCESS,
) -> Scores:
    """``scores`` with the mean token log p under ``model`` of each answer that is not blank, if a metric reads it.

    The answer follows its prompt in the dataset's template, as it was asked for. Its end token is not counted, because
    a generation cut at its greatest length has none. Raises whatever ``teacher_forced`` raises.
    """
    from mollm_cli.data.apart import apart, as_items, from_items
    from mollm_cli.data.encoder import Encoder
    from mollm_cli.evaluation.teacher_forcing import teacher_forced

    encoder = Encoder(tokenizer)
    answered = _answered(scores, sets, suite, "fluency")
    if not answered:
        return scores
    texts = [f"{scored.example.prompt}{scored.generation}" for scored in answered.values()]
    found = apart(
        tokenizer,
        "evaluation: answers of the model",
        texts,
        lambda: as_items(_encoded(encoder, scored, sets[place[0]].dataset) for place, scored in answered.items()),
    )
    rows = dict(zip(answered, from_items(found), strict=True))
    rows = {place: row for place, row in rows.items() if row.targets}  # some characters are no token at all
    if not rows:
        return scores
    with clock.measured("fluency"):
        likelihoods = teacher_forced(
            model, list(rows.values()), encoder.pad_id, suite.batch_size, model.device, sharing=sharing
        )
    changed = zip(rows, likelihoods, strict=True)
    return _put(scores, {place: replace(answered[place], fluency_log_prob=each.mean) for place, each in changed})


def _answered(scores: Scores, sets: Mapping[str, Loaded], suite: Suite, need: str) -> dict[tuple[str, int], Scored]:
    """By set and place, the rows whose answer is not blank, of the sets on which a metric has this ``need``."""
    needs = needs_by_set(measured(suite, sets, oracle=False), suite.rows(sets))
    return {
        (name, place): row
        for name, scored in scores.items()
        if need in needs.get(name, ())
        for place, row in enumerate(scored)
        if row.generation and row.generation.strip()
    }


def _put(scores: Scores, changed: Mapping[tuple[str, int], Scored]) -> Scores:
    def rows(name: str, scored: Sequence[Scored]) -> list[Scored]:
        return [changed.get((name, place), row) for place, row in enumerate(scored)]

    return {name: rows(name, scored) for name, scored in scores.items()}


def _encoded(encoder: Encoder, scored: Scored, dataset: Dataset) -> Encoded:
    """The generation after its prompt, without an end token, cut to the length of the dataset's rows."""
    example, template = scored.example, SPACED if dataset.template == "none" else dataset.template
    given, answer = encoder.followed(example.prompt, template, scored.generation or "", example.answer)
    answer = answer[: max(0, dataset.max_tokens - len(given))]
    return Encoded(scored.id, tuple(given + answer), (IGNORE,) * len(given) + tuple(answer))
