"""What others say of the generations: judges, and the reference that finds them likely or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mollm_cli.core.types import IGNORE, Encoded, Scored
from mollm_cli.evaluation.clock import Clock
from mollm_cli.evaluation.measuring import Scores, measured
from mollm_cli.evaluation.metric_plan import needs_by_set
from mollm_cli.evaluation.work_sharing import ONE, WorkSharing

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from mollm_cli.data.dataset import Dataset
    from mollm_cli.data.encoder import Encoder
    from mollm_cli.data.load_dataset import Loaded
    from mollm_cli.evaluation.suite import Suite

SPACED = "{prompt} "
"""Between a bare prompt and what goes on from it: generations come without the white space that they began with."""


def check_judges(suite: Suite) -> None:
    """Raise RequestError for a judge that cannot be loaded; loads no weights."""
    for judge in suite.judges.values():
        judge.check()


def judged(scores: Scores, sets: Mapping[str, Loaded], suite: Suite, device: torch.device, clock: Clock) -> Scores:
    """``scores`` with every judge's word on each answer that is not blank, on the sets where some metric reads it.

    Each judge reads all sets in one go. Raises what ``Judge.scores`` raises.
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
    words = [dict(zip(found, each, strict=True)) for each in zip(*found.values(), strict=True)]
    told = {place: replace(scored, judged=word) for (place, scored), word in zip(rows.items(), words, strict=True)}
    return _put(scores, told)


def with_fluency(
    scores: Scores,
    sets: Mapping[str, Loaded],
    suite: Suite,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    clock: Clock,
    turns: WorkSharing = ONE,
) -> Scores:
    """``scores`` with the mean token log p under ``model`` of each answer that is not blank, where a metric reads it.

    The answer follows its prompt in the dataset's template, as it was asked for; its end token is not counted, because
    a generation cut at its longest has none. Raises what ``teacher_forced`` raises.
    """
    from mollm_cli.data.apart import apart, as_items, from_items
    from mollm_cli.data.encoder import Encoder
    from mollm_cli.evaluation.teacher_forcing import teacher_forced

    encoder = Encoder(tokenizer)
    said = _answered(scores, sets, suite, "fluency")
    if not said:
        return scores
    texts = [f"{scored.example.prompt}{scored.generation}" for scored in said.values()]
    found = apart(
        tokenizer,
        "evaluation: answers of the model",
        texts,
        lambda: as_items(_said(encoder, scored, sets[place[0]].dataset) for place, scored in said.items()),
    )
    rows = dict(zip(said, from_items(found), strict=True))
    rows = {place: row for place, row in rows.items() if row.targets}  # some characters are no token at all
    if not rows:
        return scores
    with clock.measured("fluency"):
        scored = teacher_forced(model, list(rows.values()), encoder.pad_id, suite.batch_size, model.device, turns=turns)
    told = zip(rows, scored, strict=True)
    return _put(scores, {place: replace(said[place], fluency_log_prob=each.mean) for place, each in told})


def _answered(scores: Scores, sets: Mapping[str, Loaded], suite: Suite, need: str) -> dict[tuple[str, int], Scored]:
    """By set and place, the rows with an answer that is not blank, of the sets where a metric has this ``need``."""
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


def _said(encoder: Encoder, scored: Scored, dataset: Dataset) -> Encoded:
    """The generation after its prompt, without an end token; cut where a row of the dataset would be."""
    prompt, template = scored.example.prompt, dataset.template
    given = encoder.prompt_ids(prompt, template)
    spaced = SPACED if template == "none" else template
    said = encoder.target_ids(prompt, scored.generation or "", spaced, given)[:-1]
    said = said[: max(0, dataset.max_tokens - len(given))]
    return Encoded(scored.id, tuple(given + said), (IGNORE,) * len(given) + tuple(said))
