"""The same evaluation as people write it first: every metric walks over its rows, one row in a forward.

No batch, no sorting, no score that two metrics share, all logits of a row, and a call of transformers' ``generate`` a
prompt. It reads the same rows, tokens and metrics as the suite, so that the tests can ask for equal values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mollm_cli.core.masking import target_positions
from mollm_cli.core.types import ROLES, Encoded, Example, Metric, Scored, SetsMetric
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.data.windows import overlapping_windows
from mollm_cli.evaluation.measuring import measured
from mollm_cli.evaluation.suite import Suite

KNOWN = frozenset({"prompt", "text", "generation", "perturbed", "forget_side", "retain_side", "oracle"})
"""The words of metrics/__init__.py that the loop has an answer to: those of the metrics at the end of a run."""


def evaluate_by_row(
    model: Any,
    tokenizer: Any,
    sets: Mapping[str, Loaded],
    suite: Suite,
    oracle: Mapping[str, Sequence[Scored]] | None = None,
) -> dict[str, float | None]:
    """Every metric of ``suite`` by its flat name; ``oracle``: its scores. Raises ValueError for what it cannot read."""
    model.eval()
    encoder, values = Encoder(tokenizer), {}
    for flat, (name, metric) in measured(suite, sets, oracle is not None).items():
        if unknown := metric.needs - KNOWN:
            raise ValueError(f"the loop over rows has no {', '.join(sorted(unknown))}, which '{metric.name}' needs")

        def scored(each: str, metric: Metric | SetsMetric = metric) -> list[Scored]:
            loaded = sets[each]
            return [_scored(model, encoder, loaded, row, suite, metric) for row in loaded.examples[: suite.limit]]

        if hasattr(metric, "compute_across"):
            found = {each: scored(each) for each in metric.sets if each in sets}
            values[flat] = metric.compute_across(found, oracle).value
        else:
            values[flat] = metric.compute(scored(name), None if oracle is None else oracle.get(name)).value
    return values


def _scored(
    model: Any, encoder: Encoder, loaded: Loaded, row: Example, suite: Suite, metric: Metric | SetsMetric
) -> Scored:
    """What one metric reads of one row: the model's own words, or what it says of the answers."""
    dataset = loaded.dataset
    if "generation" in metric.needs:
        prompt = encoder.prompt_ids(row.prompt, dataset.template)
        said = generated(model, encoder.tokenizer, prompt, suite.generate_tokens, encoder.end_ids)
        return Scored(row.id, row, (), (), generation=said)
    if dataset.windows and not row.prompt:
        windows = overlapping_windows(encoder, row.answer, dataset.max_tokens, row.id, ROLES[0])
    else:
        windows = [_encoded(encoder, loaded, row, row.answer)]
    parts = [answer_scores(model, window) for window in windows]
    log_probs, correct = (tuple(value for part in parts for value in part[k]) for k in range(2))
    others: list[float] = []
    if "perturbed" in metric.needs and row.perturbed_answers:
        paraphrase = () if row.paraphrased_answer is None else (row.paraphrased_answer,)
        for text in (*paraphrase, *row.perturbed_answers):
            found = answer_scores(model, _encoded(encoder, loaded, row, text))[0]
            others.append(sum(found) / len(found))
    paraphrased = bool(others) and row.paraphrased_answer is not None
    first = others[0] if paraphrased else None
    return Scored(row.id, row, log_probs, correct, first, tuple(others[paraphrased:]))


def _encoded(encoder: Encoder, loaded: Loaded, row: Example, answer: str) -> Encoded:
    dataset = loaded.dataset
    return encoder.encode_answer(row.prompt, answer, dataset.template, dataset.max_tokens, row.id, ROLES[0])


@torch.inference_mode()
def answer_scores(model: Any, row: Encoded) -> tuple[list[float], list[bool]]:
    """Of each target token of one row: log p, and whether it is the argmax. Logits [T, V] of the whole row."""
    ids = torch.tensor([row.input_ids], device=model.device)
    _, position, target = target_positions(torch.tensor([row.labels], device=model.device))
    log_p = model(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1)[position]
    return log_p.gather(-1, target[:, None]).squeeze(-1).tolist(), (log_p.argmax(-1) == target).tolist()


@torch.inference_mode()
def generated(model: Any, tokenizer: Any, prompt: Sequence[int], most: int, ends: Sequence[int]) -> str:
    """The greedy continuation of one prompt, without special tokens and white space around it."""
    from transformers import GenerationConfig

    settings = GenerationConfig(max_new_tokens=most, do_sample=False, eos_token_id=list(ends), pad_token_id=ends[0])
    ids = torch.tensor([list(prompt)], device=model.device)
    said = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)[0, len(prompt) :]
    return str(tokenizer.decode(said, skip_special_tokens=True)).strip()
